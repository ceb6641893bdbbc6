// blockserve tokenize: JSON lines of text to ids, and back.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/serving/process.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {
namespace {

using nlohmann::json;

struct TokenizeFlags {
  std::string tokenizer;
  bool decode = false;
  bool skip_special_tokens = false;
};

absl::StatusOr<json> EncodeLine(const Tokenizer& tokenizer, const json& line) {
  if (!line.is_string()) {
    return absl::InvalidArgumentError("expected a JSON string");
  }
  ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                   tokenizer.Encode(line.get_ref<const std::string&>()));
  return json(std::move(ids));
}

absl::StatusOr<json> DecodeLine(const Tokenizer& tokenizer, const json& line,
                                bool skip_special_tokens) {
  std::vector<int32_t> ids;
  if (!line.is_array()) {
    return absl::InvalidArgumentError("expected a JSON list of ids");
  }
  for (const json& id : line) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() > INT32_MAX) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a token id, got ", id.dump()));
    }
    ids.push_back(id.get<int32_t>());
  }
  ASSIGN_OR_RETURN(std::string text,
                   tokenizer.Decode(ids, skip_special_tokens));
  return json(std::move(text));
}

int Tokenize(const TokenizeFlags& flags) {
  auto tokenizer = LoadTokenizer(flags.tokenizer);
  if (!tokenizer.ok()) return ReportError(tokenizer.status());
  std::ios::sync_with_stdio(false);
  std::string text;
  for (int64_t number = 1; std::getline(std::cin, text); ++number) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    absl::StatusOr<json> result =
        flags.decode ? DecodeLine(**tokenizer, line, flags.skip_special_tokens)
                     : EncodeLine(**tokenizer, line);
    if (!result.ok()) {
      std::cout.flush();
      return ReportError(absl::Status(
          result.status().code(),
          absl::StrCat("line ", number, ": ", result.status().message())));
    }
    std::cout << result->dump() << "\n";
  }
  std::cout.flush();
  return kExitOk;
}

}  // namespace

void AddTokenizeCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand(
      "tokenize",
      "JSON strings, one a line, to JSON lists of token ids (and back)");
  command->add_option("--tokenizer", flags->tokenizer, "tokenizer.json")
      ->required();
  command->add_flag("--decode", flags->decode, "Lists of ids to strings");
  command->add_flag("--skip_special_tokens", flags->skip_special_tokens,
                    "With --decode: leave special tokens out");
  command->callback([flags, &exit_code] { exit_code = Tokenize(*flags); });
}

}  // namespace blockserve
