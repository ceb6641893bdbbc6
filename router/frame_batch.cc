#include "router/frame_batch.h"

#include <glog/logging.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace blockserve {
namespace {

using worker::v1::RequestEvent;

// False if `event` has to stay alone.
bool JoinInto(RequestEvent& first, RequestEvent& event) {
  if (first.has_done() || event.done().code() != 0) return false;
  first.mutable_token_ids()->MergeFrom(event.token_ids());
  for (auto& logprobs : *event.mutable_logprobs()) {
    first.add_logprobs()->Swap(&logprobs);
  }
  if (event.has_done()) first.mutable_done()->Swap(event.mutable_done());
  return true;
}

}  // namespace

void FrameBatch::Push(worker::v1::ExecuteResponse& frame) {
  CHECK(!is_full());
  frames_[num_frames_++].Swap(&frame);
}

void FrameBatch::Swap(FrameBatch& other) {
  frames_.swap(other.frames_);
  std::swap(num_frames_, other.num_frames_);
}

void FrameBatch::Clear() {
  for (int i = 0; i < num_frames_; ++i) frames_[i].Clear();
  num_frames_ = 0;
}

FrameBatch::Events FrameBatch::JoinEvents() {
  Events events;
  events.firsts.reserve(frames_[0].events_size());
  absl::flat_hash_map<absl::string_view, RequestEvent*> firsts;
  firsts.reserve(frames_[0].events_size());
  for (int i = 0; i < num_frames_; ++i) {
    for (RequestEvent& event : *frames_[i].mutable_events()) {
      const auto [it, is_first] =
          firsts.try_emplace(event.request_id(), &event);
      if (is_first) {
        events.firsts.push_back(&event);
      } else if (!JoinInto(*it->second, event)) {
        events.rest.push_back(&event);
      }
    }
  }
  return events;
}

}  // namespace blockserve
