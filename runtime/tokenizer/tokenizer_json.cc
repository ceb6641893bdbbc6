#include "runtime/tokenizer/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status_macros.h"
#include "runtime/tokenizer/byte_alphabet.h"

namespace blockserve {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;

// A value and where it stands, which every message says: the file, and the key
// as "model.merges[3]".
struct Node {
  const json* value;  // null: not there
  const std::string* source;
  std::string key;  // empty: the whole document

  bool is_absent() const { return value == nullptr || value->is_null(); }

  Node operator[](const char* name) const {
    Node child{nullptr, source,
               key.empty() ? name : absl::StrCat(key, ".", name)};
    if (value != nullptr && value->is_object()) {
      const auto found = value->find(name);
      if (found != value->end()) child.value = &*found;
    }
    return child;
  }
  Node operator[](size_t index) const {
    return {&(*value)[index], source, absl::StrCat(key, "[", index, "]")};
  }

  absl::Status Error(const std::string& expected) const {
    return absl::InvalidArgumentError(
        absl::StrCat(*source, ": ", key, key.empty() ? "" : ": ", "expected ",
                     expected, ", got ", Excerpt()));
  }

 private:
  std::string Excerpt() const {
    if (value == nullptr) return "nothing";
    if (value->is_structured()) return value->type_name();
    const std::string text =
        value->dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 60) + "...";
  }
};

absl::StatusOr<bool> ReadBool(const Node& node) {
  if (node.value == nullptr || !node.value->is_boolean()) {
    return node.Error("true or false");
  }
  return node.value->get<bool>();
}

absl::StatusOr<bool> ReadBoolOr(const Node& node, bool value_if_absent) {
  if (node.is_absent()) return value_if_absent;
  return ReadBool(node);
}

absl::StatusOr<std::string> ReadString(const Node& node) {
  if (node.value == nullptr || !node.value->is_string()) {
    return node.Error("a string");
  }
  return node.value->get<std::string>();
}

absl::StatusOr<int32_t> ReadTokenId(const Node& node) {
  if (node.value == nullptr || !node.value->is_number_unsigned() ||
      node.value->get<uint64_t>() >= kMaxVocabSize) {
    return node.Error(absl::StrCat("an id in [0, ", kMaxVocabSize, ")"));
  }
  return node.value->get<int32_t>();
}

absl::Status ExpectString(const Node& node, const std::string& expected) {
  if (node.value == nullptr || !node.value->is_string() ||
      node.value->get_ref<const std::string&>() != expected) {
    return node.Error(absl::StrCat("\"", expected, "\""));
  }
  return absl::OkStatus();
}

absl::Status ReadPipeline(const Node& root, TokenizerSpec& spec) {
  if (!root["version"].is_absent()) {
    RETURN_IF_ERROR(ExpectString(root["version"], "1.0"));
  }
  const Node normalizer = root["normalizer"];
  if (!normalizer.is_absent()) {
    RETURN_IF_ERROR(ExpectString(normalizer["type"], "NFC"));
    spec.normalize_nfc = true;
  }
  const Node pre_tokenizer = root["pre_tokenizer"];
  RETURN_IF_ERROR(ExpectString(pre_tokenizer["type"], "ByteLevel"));
  ASSIGN_OR_RETURN(spec.add_prefix_space,
                   ReadBool(pre_tokenizer["add_prefix_space"]));
  ASSIGN_OR_RETURN(spec.split_words,
                   ReadBoolOr(pre_tokenizer["use_regex"], true));
  return ExpectString(root["decoder"]["type"], "ByteLevel");
}

absl::Status ReadVocab(const Node& vocab, TokenizerSpec& spec) {
  if (vocab.value == nullptr || !vocab.value->is_object()) {
    return vocab.Error("an object");
  }
  spec.vocab.reserve(vocab.value->size());
  absl::flat_hash_map<int32_t, const std::string*> token_of_id;
  token_of_id.reserve(vocab.value->size());
  for (const auto& [token, value] : vocab.value->items()) {
    const Node node{
        &value, vocab.source,
        absl::StrCat(vocab.key, "[\"", absl::CHexEscape(token), "\"]")};
    ASSIGN_OR_RETURN(const int32_t id, ReadTokenId(node));
    spec.vocab.emplace(token, id);
    if (!token_of_id.emplace(id, &token).second) {
      return node.Error("an id that no other token has");
    }
  }
  return absl::OkStatus();
}

// A merge as "left right" or as ["left", "right"].
absl::StatusOr<std::pair<std::string, std::string>> ReadPair(const Node& node) {
  if (node.value->is_array() && node.value->size() == 2) {
    ASSIGN_OR_RETURN(std::string left, ReadString(node[size_t{0}]));
    ASSIGN_OR_RETURN(std::string right, ReadString(node[size_t{1}]));
    return std::make_pair(std::move(left), std::move(right));
  }
  if (node.value->is_string()) {
    const std::string& text = node.value->get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos &&
        text.find(' ', space + 1) == std::string::npos) {
      return std::make_pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return node.Error("two tokens, as \"a b\" or as [\"a\", \"b\"]");
}

absl::Status ReadMerges(const Node& merges, TokenizerSpec& spec) {
  if (merges.value == nullptr || !merges.value->is_array()) {
    return merges.Error("an array");
  }
  if (merges.value->size() >= kMaxVocabSize) {
    return merges.Error(absl::StrCat("fewer than ", kMaxVocabSize, " merges"));
  }
  spec.merges.reserve(merges.value->size());
  for (size_t i = 0; i < merges.value->size(); ++i) {
    const Node node = merges[i];
    // The first line of a merges.txt, which some files carry along.
    if (node.value->is_string() &&
        node.value->get_ref<const std::string&>().rfind("#version", 0) == 0) {
      continue;
    }
    ASSIGN_OR_RETURN(const auto pair, ReadPair(node));
    const auto left = spec.vocab.find(pair.first);
    const auto right = spec.vocab.find(pair.second);
    const auto result = spec.vocab.find(pair.first + pair.second);
    if (left == spec.vocab.end() || right == spec.vocab.end() ||
        result == spec.vocab.end()) {
      return node.Error("tokens that are in model.vocab, and so their sum");
    }
    spec.merges.push_back({left->second, right->second, result->second});
  }
  return absl::OkStatus();
}

bool HasEveryByte(const TokenizerSpec& spec) {
  for (int byte = 0; byte < 256; ++byte) {
    if (!spec.vocab.contains(SpellByte(static_cast<uint8_t>(byte)))) {
      return false;
    }
  }
  return true;
}

absl::Status ReadModel(const Node& model, TokenizerSpec& spec) {
  if (model.value == nullptr || !model.value->is_object()) {
    return model.Error("an object");
  }
  if (!model["type"].is_absent()) {  // files of early versions have none
    RETURN_IF_ERROR(ExpectString(model["type"], "BPE"));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model[key].is_absent()) {
      RETURN_IF_ERROR(ExpectString(model[key], ""));
    }
  }
  const Node dropout = model["dropout"];
  if (!dropout.is_absent() && *dropout.value != 0) {
    return dropout.Error("null: dropout is for training");
  }
  ASSIGN_OR_RETURN(spec.ignore_merges,
                   ReadBoolOr(model["ignore_merges"], false));
  RETURN_IF_ERROR(ReadVocab(model["vocab"], spec));
  RETURN_IF_ERROR(ReadMerges(model["merges"], spec));

  // With a token for each byte nothing is ever unknown, and these mean nothing.
  if (!HasEveryByte(spec)) {
    if (!model["unk_token"].is_absent()) {
      return model["unk_token"].Error("null, or a vocab with all 256 bytes");
    }
    ASSIGN_OR_RETURN(const bool byte_fallback,
                     ReadBoolOr(model["byte_fallback"], false));
    if (byte_fallback) {
      return model["byte_fallback"].Error(
          "false, or a vocab with all 256 bytes");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<AddedTokenSpec> ReadAddedToken(const Node& node) {
  if (!node.value->is_object()) return node.Error("an object");
  AddedTokenSpec token;
  ASSIGN_OR_RETURN(token.id, ReadTokenId(node["id"]));
  ASSIGN_OR_RETURN(token.content, ReadString(node["content"]));
  ASSIGN_OR_RETURN(token.single_word, ReadBool(node["single_word"]));
  ASSIGN_OR_RETURN(token.lstrip, ReadBool(node["lstrip"]));
  ASSIGN_OR_RETURN(token.rstrip, ReadBool(node["rstrip"]));
  ASSIGN_OR_RETURN(token.normalized, ReadBool(node["normalized"]));
  ASSIGN_OR_RETURN(token.special, ReadBool(node["special"]));
  return token;
}

// The reference gives added tokens their ids itself and only warns if the file
// says otherwise: the vocab's id for what is there, then the next free ones.
// Two readers of one file must not disagree, so such a file is refused.
absl::Status ReadAddedTokens(const Node& list, TokenizerSpec& spec) {
  if (list.is_absent()) return absl::OkStatus();
  if (!list.value->is_array()) return list.Error("an array");
  int64_t next_id = static_cast<int64_t>(spec.vocab.size());
  absl::flat_hash_set<std::string> contents;
  absl::flat_hash_set<int32_t> vocab_ids;
  for (const auto& [token, id] : spec.vocab) vocab_ids.insert(id);
  for (size_t i = 0; i < list.value->size(); ++i) {
    ASSIGN_OR_RETURN(AddedTokenSpec token, ReadAddedToken(list[i]));
    if (token.content.empty()) continue;  // ignored by the reference as well
    if (!contents.insert(token.content).second) {
      return list[i]["content"].Error("a token that is not listed before");
    }
    const auto known = spec.vocab.find(token.content);
    const int64_t id = known != spec.vocab.end() ? known->second : next_id++;
    if (token.id != id) {
      return list[i]["id"].Error(
          absl::StrCat(id, known != spec.vocab.end() ? ", its id in model.vocab"
                                                     : ", the next free id"));
    }
    if (known == spec.vocab.end() && vocab_ids.contains(token.id)) {
      return list[i]["id"].Error("an id that no token of model.vocab has");
    }
    spec.added_tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerSpec> ParseTokenizerJson(std::string_view text,
                                                 const std::string& source) {
  ASSIGN_OR_RETURN(const json document, ParseJson(text, source, kMaxDepth));
  const Node root{&document, &source, ""};
  if (!document.is_object()) return root.Error("an object");
  TokenizerSpec spec;
  RETURN_IF_ERROR(ReadPipeline(root, spec));
  RETURN_IF_ERROR(ReadModel(root["model"], spec));
  RETURN_IF_ERROR(ReadAddedTokens(root["added_tokens"], spec));
  return spec;
}

}  // namespace blockserve
