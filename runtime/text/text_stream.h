// Token ids of one completion to text that can be sent as it grows: whole
// characters only, and nothing that may still turn out to be a stop string.
#ifndef BLOCKSERVE_RUNTIME_TEXT_TEXT_STREAM_H_
#define BLOCKSERVE_RUNTIME_TEXT_TEXT_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

struct TextStreamOptions {
  std::vector<std::string> stop;  // none empty
  bool include_stop_in_output = false;
  bool skip_special_tokens = true;
};

struct TextStreamOutput {
  std::string text;      // new, valid UTF-8
  bool stopped = false;  // a stop string was completed
  std::string matched_stop;
  // Of the tokens pushed, how many belong to the completion: all, or up to and
  // including the one that completed the stop string.
  int num_tokens = 0;
};

// The concatenation of all text equals the unsplit decoding, cut at the stop
// string that ends first (of those that end together, the longest), however the
// tokens are split over calls. Holds back at most an unfinished character and
// the longest suffix that is a true prefix of a stop string. Ids that have no
// token are no text. Not thread-safe.
class TextStream {
 public:
  // `tokenizer` must outlive the stream.
  static std::unique_ptr<TextStream> Create(const Tokenizer& tokenizer,
                                            TextStreamOptions options);
  virtual ~TextStream() = default;

  // Nothing may be pushed after an output with `stopped`.
  virtual TextStreamOutput Push(absl::Span<const int32_t> tokens) = 0;
  // The text still held back when the completion ended without a stop string;
  // empty after one. Nothing may be pushed afterwards.
  virtual std::string Finish() = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_TEXT_TEXT_STREAM_H_
