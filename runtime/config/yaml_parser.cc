#include "runtime/config/yaml_parser.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

constexpr size_t kMaxBytes = 256 << 10;
constexpr size_t kMaxDepth = 32;
constexpr int kMaxNodes = 10000;
constexpr int kMaxAliases = 64;

// Builds the tree from the parser's events. After the first error the rest of
// the events is ignored: the parser offers no way to stop it.
class TreeBuilder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, NewNode(mark, ConfigNode::Kind::kNull));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (++num_aliases_ > kMaxAliases) Fail(mark, "too many aliases");
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      // An alias inside the node it names.
      Fail(mark, "alias of an unfinished node");
      return;
    }
    Add(mark, /*anchor=*/0, found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    const bool plain = tag == "?" || tag.empty();
    auto node = NewNode(mark, ConfigNode::Kind::kScalar);
    node->text = value;
    node->quoted = !plain;
    if (plain && (value.empty() || value == "~" || value == "null" ||
                  value == "Null" || value == "NULL")) {
      node->kind = ConfigNode::Kind::kNull;
    }
    Add(mark, anchor, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, anchor, ConfigNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, anchor, ConfigNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

  bool failed() const { return !error_.empty(); }
  int error_line() const { return error_line_; }
  const std::string& error() const { return error_; }
  const std::shared_ptr<const ConfigNode>& root() const { return root_; }

 private:
  // A map or sequence whose end has not come.
  struct OpenNode {
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    std::shared_ptr<ConfigNode> node;
    bool has_key = false;
    std::string key;
  };

  static std::shared_ptr<ConfigNode> NewNode(const YAML::Mark& mark,
                                             ConfigNode::Kind kind) {
    auto node = std::make_shared<ConfigNode>();
    node->kind = kind;
    node->line = mark.line + 1;
    return node;
  }

  void Fail(const YAML::Mark& mark, std::string message) {
    if (failed()) return;
    error_ = std::move(message);
    error_line_ = mark.line + 1;
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor,
            ConfigNode::Kind kind) {
    if (open_.size() >= kMaxDepth) Fail(mark, "nested too deeply");
    if (failed()) return;
    open_.push_back({mark, anchor, NewNode(mark, kind), false, ""});
  }

  void Close() {
    if (failed()) return;
    OpenNode done = std::move(open_.back());
    open_.pop_back();
    Add(done.mark, done.anchor, std::move(done.node));
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor,
           std::shared_ptr<const ConfigNode> node) {
    if (++num_nodes_ > kMaxNodes) Fail(mark, "too many values");
    if (failed()) return;
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node->kind == ConfigNode::Kind::kSequence) {
      parent.node->elements.push_back(std::move(node));
    } else if (parent.has_key) {
      parent.node->entries.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    } else {
      AddKey(mark, *node, parent);
    }
  }

  void AddKey(const YAML::Mark& mark, const ConfigNode& key, OpenNode& parent) {
    if (key.kind != ConfigNode::Kind::kScalar) {
      return Fail(mark, "expected a name before ':'");
    }
    if (key.text == "<<" && !key.quoted) {
      return Fail(mark, "merge keys are not supported");
    }
    if (parent.node->Find(key.text) != nullptr) {
      return Fail(mark, absl::StrCat("key \"", absl::CEscape(key.text),
                                     "\" is given twice"));
    }
    parent.key = key.text;
    parent.has_key = true;
  }

  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, std::shared_ptr<const ConfigNode>> anchors_;
  std::shared_ptr<const ConfigNode> root_;
  int num_nodes_ = 0;
  int num_aliases_ = 0;
  std::string error_;
  int error_line_ = 0;
};

absl::Status ErrorAt(const std::string& source, int line,
                     const std::string& message) {
  return absl::InvalidArgumentError(
      absl::StrCat(source, ":", line, ": ", message));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ConfigNode>> ParseYaml(
    std::string_view text, std::string_view source_name) {
  const std::string source(source_name);
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": expected at most ", kMaxBytes, " bytes, got ", text.size()));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    parser.HandleNextDocument(builder);
    if (builder.failed()) {
      return ErrorAt(source, builder.error_line(), builder.error());
    }
    if (builder.root() == nullptr ||
        builder.root()->kind != ConfigNode::Kind::kMap) {
      return ErrorAt(source, 1, "expected a map of keys and values");
    }
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": expected one document, got more"));
    }
    return builder.root();
  } catch (const YAML::Exception& error) {
    return ErrorAt(source, error.mark.line + 1, absl::CEscape(error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": malformed YAML: ", absl::CEscape(error.what())));
  }
}

}  // namespace blockserve
