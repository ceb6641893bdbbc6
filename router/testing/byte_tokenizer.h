// A tokenizer whose tokens are the 256 bytes; 0 is special and has no text.
#ifndef BLOCKSERVE_ROUTER_TESTING_BYTE_TOKENIZER_H_
#define BLOCKSERVE_ROUTER_TESTING_BYTE_TOKENIZER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer();

  absl::StatusOr<std::vector<int32_t>> Encode(
      std::string_view text) const override;
  std::string_view TokenBytes(int32_t id, bool skip_special) const override;
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special) const override;
  int vocab_size() const override { return 256; }
  std::optional<int32_t> TokenToId(std::string_view token) const override;

 private:
  std::string bytes_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_TESTING_BYTE_TOKENIZER_H_
