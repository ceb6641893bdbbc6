// For tests: answers requests in JSON lines with one tokenizer.
//
//   tokenize_lines TOKENIZER_JSON < requests > answers
//
// A string asks for its ids; {"ids": [..], "skip_special": bool} asks for the
// text. The answer is a list, a string, or {"error": message}.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {
namespace {

using nlohmann::json;

template <typename T>
json Answer(const absl::StatusOr<T>& result) {
  if (result.ok()) return *result;
  return {{"error", std::string(result.status().message())}};
}

int Main(const std::string& path) {
  const auto tokenizer = LoadTokenizer(path);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << "\n";
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const json request = json::parse(line);
    if (request.is_string()) {
      std::cout << Answer((*tokenizer)->Encode(request.get<std::string>()));
    } else {
      std::cout << Answer(
          (*tokenizer)
              ->Decode(request.at("ids").get<std::vector<int32_t>>(),
                       request.at("skip_special").get<bool>()));
    }
    std::cout << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tokenize_lines TOKENIZER_JSON < requests > answers\n";
    return 2;
  }
  std::ios::sync_with_stdio(false);
  return blockserve::Main(argv[1]);
}
