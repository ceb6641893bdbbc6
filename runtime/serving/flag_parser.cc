#include "runtime/serving/flag_parser.h"

#include <map>
#include <utility>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Flags of a binary's own file: libraries (glog) define some as well, which are
// not for users.
bool IsOwnFlag(const absl::CommandLineFlag& flag) {
  return !flag.IsRetired() && absl::EndsWith(flag.Filename(), "_main.cc");
}

absl::Status SetFlag(absl::CommandLineFlag& flag, absl::string_view value) {
  std::string error;
  if (flag.ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("bad value \"", value, "\" for --", flag.Name(),
                   error.empty() ? "" : ": ", error, " (", flag.Help(), ")"));
}

absl::Status UnknownFlag(absl::string_view name) {
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag --", name, " (--help lists all)"));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlags(
    const std::vector<std::string>& args) {
  std::vector<std::string> rest;
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view arg = args[i];
    if (arg == "--") {
      rest.insert(rest.end(), args.begin() + static_cast<int64_t>(i) + 1,
                  args.end());
      break;
    }
    if (!absl::ConsumePrefix(&arg, "--")) {
      if (absl::StartsWith(arg, "-") && arg.size() > 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("flags start with --, got \"", arg, "\""));
      }
      rest.push_back(args[i]);
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(arg, absl::MaxSplits('=', 1));
    const bool has_value = arg.find('=') != absl::string_view::npos;
    absl::string_view name = parts.first;
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr && !has_value && absl::ConsumePrefix(&name, "no")) {
      flag = absl::FindCommandLineFlag(name);
      if (flag == nullptr || !flag->IsOfType<bool>()) {
        return UnknownFlag(parts.first);
      }
      RETURN_IF_ERROR(SetFlag(*flag, "false"));
      continue;
    }
    if (flag == nullptr) return UnknownFlag(parts.first);
    if (has_value) {
      RETURN_IF_ERROR(SetFlag(*flag, parts.second));
    } else if (flag->IsOfType<bool>()) {
      RETURN_IF_ERROR(SetFlag(*flag, "true"));
    } else if (i + 1 < args.size()) {
      RETURN_IF_ERROR(SetFlag(*flag, args[++i]));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value (", flag->Help(), ")"));
    }
  }
  return rest;
}

std::string FlagsHelp(const std::string& usage) {
  std::map<std::string, std::string> lines;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsOwnFlag(*flag)) continue;
    lines[std::string(name)] =
        absl::StrCat("  --", name, "=", flag->DefaultValue(), "\n      ",
                     flag->Help(), "\n");
  }
  std::string help = absl::StrCat(usage, "\n\nFlags, with their defaults:\n");
  for (const auto& [name, line] : lines) absl::StrAppend(&help, line);
  return help;
}

}  // namespace blockserve
