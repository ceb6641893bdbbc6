#include "router/choice_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/string_view.h"
#include "router/testing/byte_tokenizer.h"

namespace blockserve {
namespace {

using testing::ElementsAre;

worker::v1::RequestEvent Event(absl::string_view bytes) {
  worker::v1::RequestEvent event;
  for (char c : bytes) event.add_token_ids(static_cast<uint8_t>(c));
  return event;
}

class ChoiceDecoderTest : public testing::Test {
 protected:
  ChoiceDecoderOptions Options() {
    ChoiceDecoderOptions options;
    options.tokenizer = &tokenizer_;
    return options;
  }
  v1::GenerateStreamResponse Decode(ChoiceDecoder& decoder,
                                    const worker::v1::RequestEvent& event) {
    v1::GenerateStreamResponse delta;
    decoder.Decode(event, &delta);
    return delta;
  }

  ByteTokenizer tokenizer_;
};

TEST_F(ChoiceDecoderTest, EndsByLength) {
  ChoiceDecoder decoder(Options());
  EXPECT_EQ(Decode(decoder, Event("ab")).text_delta(), "ab");
  auto last = Event("c");
  last.mutable_done();
  const auto delta = Decode(decoder, last);
  EXPECT_EQ(delta.text_delta(), "c");
  EXPECT_EQ(delta.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_FALSE(delta.has_matched_stop());
  EXPECT_EQ(decoder.num_tokens(), 3);
}

TEST_F(ChoiceDecoderTest, CutsAtAStopStringAcrossEvents) {
  auto options = Options();
  options.text.stop = {"xyz"};
  ChoiceDecoder decoder(options);
  EXPECT_EQ(Decode(decoder, Event("abx")).text_delta(), "ab");
  const auto delta = Decode(decoder, Event("yzde"));
  EXPECT_EQ(delta.text_delta(), "");
  EXPECT_THAT(delta.token_ids(), ElementsAre('y', 'z'));
  EXPECT_EQ(delta.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(delta.matched_stop().stop_string(), "xyz");
  EXPECT_EQ(decoder.num_tokens(), 5);
}

TEST_F(ChoiceDecoderTest, NeverSplitsACharacter) {
  ChoiceDecoder decoder(Options());
  const std::string text = "\xe2\x82\xac";  // a euro sign
  EXPECT_EQ(Decode(decoder, Event(text.substr(0, 2))).text_delta(), "");
  EXPECT_EQ(Decode(decoder, Event(text.substr(2))).text_delta(), text);
  // What stays unfinished at the end is replaced.
  Decode(decoder, Event(text.substr(0, 1)));
  worker::v1::RequestEvent done;
  done.mutable_done();
  EXPECT_EQ(Decode(decoder, done).text_delta(), "\xef\xbf\xbd");
}

TEST_F(ChoiceDecoderTest, HidesTheTextOfAStopToken) {
  auto options = Options();
  options.stop_token_ids = {'!'};
  auto event = Event("ok!");
  event.mutable_done()->set_stopped(true);
  event.mutable_done()->set_matched_stop_token_id('!');
  ChoiceDecoder decoder(options);
  const auto delta = Decode(decoder, event);
  EXPECT_EQ(delta.text_delta(), "ok");
  EXPECT_THAT(delta.token_ids(), ElementsAre('o', 'k', '!'));
  EXPECT_EQ(delta.matched_stop().stop_token_id(), '!');
  EXPECT_EQ(decoder.num_tokens(), 3);

  options.include_stop_token_text = true;
  ChoiceDecoder including(options);
  EXPECT_EQ(Decode(including, event).text_delta(), "ok!");
}

TEST_F(ChoiceDecoderTest, ReportsLogprobsWithTokenTexts) {
  ChoiceDecoder decoder(Options());
  auto event = Event("a");
  auto* logprobs = event.add_logprobs();
  logprobs->set_logprob(-1.5f);
  logprobs->add_top_ids('b');
  logprobs->add_top_logprobs(-0.5f);
  const auto delta = Decode(decoder, event);
  ASSERT_EQ(delta.logprobs_size(), 1);
  EXPECT_EQ(delta.logprobs(0).token(), "a");
  EXPECT_EQ(delta.logprobs(0).logprob(), -1.5f);
  EXPECT_EQ(delta.logprobs(0).top(0).token(), "b");
}

TEST_F(ChoiceDecoderTest, WithoutATokenizerPassesIdsOn) {
  ChoiceDecoder decoder(ChoiceDecoderOptions{});
  const auto delta = Decode(decoder, Event("ab"));
  EXPECT_THAT(delta.token_ids(), ElementsAre('a', 'b'));
  EXPECT_EQ(delta.text_delta(), "");
}

}  // namespace
}  // namespace blockserve
