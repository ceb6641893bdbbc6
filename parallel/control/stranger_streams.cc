#include "parallel/control/stranger_streams.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

// Strangers shall not fill the log.
constexpr absl::Duration kLineInterval = absl::Seconds(1);

}  // namespace

std::optional<StreamId> StrangerStreams::FindLate(absl::Time now) const {
  for (const auto& [stream, stranger] : strangers_) {
    if (now >= stranger.deadline) return stream;
  }
  return std::nullopt;
}

absl::Time StrangerStreams::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [stream, stranger] : strangers_) {
    next = std::min(next, stranger.deadline);
  }
  return next;
}

void StrangerStreams::Add(StreamId stream, std::string peer,
                          absl::Time deadline) {
  strangers_[stream] = {std::move(peer), Admission(), deadline};
}

StrangerStreams::Stranger* StrangerStreams::Find(StreamId stream) {
  const auto found = strangers_.find(stream);
  return found == strangers_.end() ? nullptr : &found->second;
}

StrangerStreams::Stranger StrangerStreams::Take(StreamId stream) {
  return std::move(strangers_.extract(stream).mapped());
}

void RefusalLog::Count(const std::string& reason, std::string what) {
  ++counts_[reason];
  last_ = std::move(what);
}

std::optional<std::string> RefusalLog::Add(const std::string& peer,
                                           const Refusal& refusal,
                                           absl::Time now) {
  Count(refusal.reason, absl::StrCat(peer, ": ", refusal.detail));
  if (now < next_line_) {
    ++num_unlogged_;
    return std::nullopt;
  }
  next_line_ = now + kLineInterval;
  std::string line = absl::StrCat("refused ", last_, " (", refusal.reason, ")");
  if (num_unlogged_ > 0) {
    absl::StrAppend(&line, "; ", num_unlogged_, " more since the last line");
  }
  num_unlogged_ = 0;
  return line;
}

}  // namespace blockserve
