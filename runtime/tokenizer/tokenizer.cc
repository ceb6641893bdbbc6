#include "runtime/tokenizer/tokenizer.h"

#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/tokenizer/byte_level_tokenizer.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace blockserve {
namespace {

// The largest in use, with 256 thousand tokens, have about 35 MB.
constexpr size_t kMaxFileBytes = size_t{128} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  ASSIGN_OR_RETURN(const TokenizerSpec spec, ParseTokenizerJson(text, path));
  ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer,
                   ByteLevelTokenizer::Create(spec, path));
  return tokenizer;
}

}  // namespace blockserve
