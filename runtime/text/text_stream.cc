#include "runtime/text/text_stream.h"

#include <glog/logging.h>

#include <optional>
#include <string_view>
#include <utility>

#include "runtime/base/utf8.h"
#include "runtime/text/stop_matcher.h"

namespace blockserve {
namespace {

class StoppingTextStream : public TextStream {
 public:
  StoppingTextStream(const Tokenizer& tokenizer, TextStreamOptions options)
      : tokenizer_(tokenizer),
        options_(std::move(options)),
        matcher_(options_.stop) {}

  TextStreamOutput Push(absl::Span<const int32_t> tokens) override {
    CHECK(!ended_) << "a token after the end of the completion";
    TextStreamOutput output;
    for (int32_t token : tokens) {
      ++output.num_tokens;
      AppendToken(token);
      if (const std::optional<int> stop = FindStop()) {
        ended_ = true;
        output.stopped = true;
        output.matched_stop = options_.stop[*stop];
        output.text = std::move(text_);
        return output;
      }
    }
    const size_t num_sendable = text_.size() - matcher_.num_pending();
    output.text = text_.substr(0, num_sendable);
    text_.erase(0, num_sendable);
    num_scanned_ = text_.size();
    return output;
  }

  std::string Finish() override {
    if (ended_) return "";
    ended_ = true;
    AppendUtf8Lossy(unfinished_, text_);
    // Only a stop string with U+FFFD in it can be completed by this.
    FindStop();
    return std::move(text_);
  }

 private:
  // Moves what is whole of `token` and the bytes before it into `text_`.
  void AppendToken(int32_t token) {
    unfinished_.append(
        tokenizer_.TokenBytes(token, options_.skip_special_tokens));
    const size_t num_whole =
        unfinished_.size() - UnfinishedUtf8SuffixLength(unfinished_);
    AppendUtf8Lossy(std::string_view(unfinished_).substr(0, num_whole), text_);
    unfinished_.erase(0, num_whole);
  }

  // Looks through the new end of `text_`. Cuts it at the stop string that ends
  // first and returns that one's index.
  std::optional<int> FindStop() {
    while (num_scanned_ < text_.size()) {
      const int stop =
          matcher_.Push(static_cast<uint8_t>(text_[num_scanned_++]));
      if (stop < 0) continue;
      text_.resize(options_.include_stop_in_output
                       ? num_scanned_
                       : num_scanned_ - options_.stop[stop].size());
      return stop;
    }
    return std::nullopt;
  }

  const Tokenizer& tokenizer_;
  const TextStreamOptions options_;
  StopMatcher matcher_;
  std::string unfinished_;  // the beginning of a character, at most 3 bytes
  std::string text_;        // whole characters that have not been sent
  size_t num_scanned_ = 0;  // of `text_`, by the matcher
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<TextStream> TextStream::Create(const Tokenizer& tokenizer,
                                               TextStreamOptions options) {
  return std::make_unique<StoppingTextStream>(tokenizer, std::move(options));
}

}  // namespace blockserve
