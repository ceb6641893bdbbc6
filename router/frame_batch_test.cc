#include "router/frame_batch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

using worker::v1::ExecuteResponse;
using worker::v1::RequestEvent;

RequestEvent& AddTokens(ExecuteResponse& frame, const std::string& id,
                        const std::vector<uint32_t>& token_ids) {
  RequestEvent& event = *frame.add_events();
  event.set_request_id(id);
  for (const uint32_t token_id : token_ids) {
    event.add_token_ids(token_id);
    event.add_logprobs()->set_logprob(-static_cast<float>(token_id));
  }
  return event;
}

// "id: tokens" with "done" or "error" behind, per event, the rest last.
std::vector<std::string> Describe(FrameBatch& batch) {
  std::vector<std::string> texts;
  FrameBatch::Events joined = batch.JoinEvents();
  std::vector<const RequestEvent*>& events = joined.firsts;
  events.insert(events.end(), joined.rest.begin(), joined.rest.end());
  for (const RequestEvent* event : events) {
    std::string text = absl::StrCat(event->request_id(), ":");
    EXPECT_EQ(event->logprobs_size(), event->token_ids_size());
    for (int i = 0; i < event->token_ids_size(); ++i) {
      absl::StrAppend(&text, " ", event->token_ids(i));
      EXPECT_EQ(event->logprobs(i).logprob(),
                -static_cast<float>(event->token_ids(i)));
    }
    if (event->has_done()) {
      absl::StrAppend(&text, event->done().code() == 0 ? " done" : " error");
    }
    texts.push_back(text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(FrameBatchTest, PassesOneFrameOnAsItIs) {
  FrameBatch batch;
  ExecuteResponse frame;
  AddTokens(frame, "a", {1, 2});
  AddTokens(frame, "b", {3});
  batch.Push(frame);
  EXPECT_EQ(frame.events_size(), 0);
  EXPECT_EQ(Describe(batch), (Texts{"a: 1 2", "b: 3"}));
}

TEST(FrameBatchTest, JoinsWhatFramesBringForARequest) {
  FrameBatch batch;
  ExecuteResponse frame;
  AddTokens(frame, "a", {1, 2});
  AddTokens(frame, "b", {3});
  batch.Push(frame);
  AddTokens(frame, "b", {4});
  AddTokens(frame, "a", {5}).mutable_done()->set_completion_tokens(3);
  batch.Push(frame);
  AddTokens(frame, "c", {});
  AddTokens(frame, "b", {6, 7});
  batch.Push(frame);
  EXPECT_EQ(Describe(batch), (Texts{"a: 1 2 5 done", "b: 3 4 6 7", "c:"}));
}

TEST(FrameBatchTest, KeepsAnErrorApartFromTheTokensBefore) {
  FrameBatch batch;
  ExecuteResponse frame;
  AddTokens(frame, "a", {1});
  batch.Push(frame);
  AddTokens(frame, "a", {}).mutable_done()->set_code(14);
  AddTokens(frame, "b", {2});
  batch.Push(frame);
  EXPECT_EQ(Describe(batch), (Texts{"a: 1", "b: 2", "a: error"}));
}

TEST(FrameBatchTest, AddsNothingToAnEnd) {
  FrameBatch batch;
  ExecuteResponse frame;
  AddTokens(frame, "a", {1}).mutable_done();
  batch.Push(frame);
  AddTokens(frame, "a", {2});  // nonsense, left for the handler to judge
  batch.Push(frame);
  EXPECT_EQ(Describe(batch), (Texts{"a: 1 done", "a: 2"}));
}

TEST(FrameBatchTest, FillsUpAndStartsAnew) {
  FrameBatch batch;
  ExecuteResponse frame;
  for (int i = 0; i < FrameBatch::kMaxFrames; ++i) {
    EXPECT_FALSE(batch.is_full());
    AddTokens(frame, "a", {1});
    batch.Push(frame);
  }
  EXPECT_TRUE(batch.is_full());
  FrameBatch taken;
  taken.Swap(batch);
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(Describe(taken), (Texts{"a: 1 1 1 1 1 1 1 1"}));
  taken.Clear();
  EXPECT_TRUE(taken.empty());
  AddTokens(frame, "b", {2});
  taken.Push(frame);
  EXPECT_EQ(Describe(taken), (Texts{"b: 2"}));
}

}  // namespace
}  // namespace blockserve
