#include "runtime/group/rank_setup.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Reads fields that must be there and of their type.
class Fields {
 public:
  explicit Fields(const nlohmann::json& object) : object_(object) {}

  void Read(const char* name, int& value) {
    const auto field = Find(name);
    if (field == object_.end()) return;
    if (!field->is_number_integer()) return Fail(name, "an integer");
    const auto wide = field->get<int64_t>();
    if (wide < 0 || wide > INT32_MAX) return Fail(name, "an int32 >= 0");
    value = static_cast<int>(wide);
  }
  void Read(const char* name, bool& value) {
    const auto field = Find(name);
    if (field == object_.end()) return;
    if (!field->is_boolean()) return Fail(name, "true or false");
    value = field->get<bool>();
  }
  void Read(const char* name, std::string& value) {
    const auto field = Find(name);
    if (field == object_.end()) return;
    if (!field->is_string()) return Fail(name, "a string");
    value = field->get<std::string>();
  }

  const absl::Status& status() const { return status_; }

 private:
  nlohmann::json::const_iterator Find(const char* name) {
    const auto field = object_.find(name);
    if (field == object_.end()) Fail(name, "a value");
    return field;
  }
  void Fail(const char* name, const char* expected) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        absl::StrCat("setup of a rank: ", name, ": expected ", expected));
  }

  const nlohmann::json& object_;
  absl::Status status_;
};

// The fields in one place, for both ways.
template <typename Setup, typename Visitor>
void VisitFields(Setup& setup, Visitor&& visit) {
  visit("backend", setup.backend);
  visit("dtype", setup.dtype);
  visit("prefix_positions", setup.prefix_positions);
  visit("max_context", setup.max_context);
  visit("max_units_per_step", setup.limits.max_units_per_step);
  visit("max_rows_per_step", setup.limits.max_rows_per_step);
  visit("max_sequences_per_step", setup.limits.max_sequences_per_step);
  visit("max_units_per_sequence", setup.limits.max_units_per_sequence);
  visit("num_pages", setup.limits.num_pages);
  visit("is_loaded", setup.is_loaded);
}

// A rank's own fault is FAILED_PRECONDITION to it and UNAVAILABLE to others.
absl::Status Mismatch(int culprit, int rank, const std::string& what) {
  const std::string message = absl::StrCat("rank ", culprit, ": ", what);
  return culprit == rank ? absl::FailedPreconditionError(message)
                         : absl::UnavailableError(message);
}

// Loaded ranks hold what they were loaded with.
absl::Status CheckLoadedLimits(const RankSetup& setup, const RankSetup& leader,
                               int culprit, int rank) {
  const ModelLimits& got = setup.limits;
  const ModelLimits& expected = leader.limits;
  if (got.max_units_per_step == expected.max_units_per_step &&
      got.max_rows_per_step == expected.max_rows_per_step &&
      got.max_sequences_per_step == expected.max_sequences_per_step &&
      got.max_units_per_sequence == expected.max_units_per_sequence) {
    return absl::OkStatus();
  }
  return Mismatch(culprit, rank,
                  "loaded with other limits than the leader now has");
}

}  // namespace

std::string RankSetup::ToJson() const {
  nlohmann::json object;
  VisitFields(*this, [&](const char* name, const auto& value) {
    object[name] = value;
  });
  return object.dump();
}

absl::StatusOr<RankSetup> ParseRankSetup(const std::string& json) {
  ASSIGN_OR_RETURN(const nlohmann::json object,
                   ParseJson(json, "setup of a rank"));
  if (!object.is_object()) {
    return absl::InvalidArgumentError("setup of a rank: expected an object");
  }
  RankSetup setup;
  Fields fields(object);
  VisitFields(setup,
              [&](const char* name, auto& value) { fields.Read(name, value); });
  RETURN_IF_ERROR(fields.status());
  return setup;
}

absl::StatusOr<RankSetup> AgreeOnSetup(absl::Span<const std::string> setups,
                                       int rank) {
  std::vector<RankSetup> ranks;
  for (const std::string& json : setups) {
    ASSIGN_OR_RETURN(RankSetup setup, ParseRankSetup(json));
    ranks.push_back(std::move(setup));
  }
  RankSetup agreed = ranks.front();
  agreed.is_loaded = false;
  int loaded_by = -1;
  for (size_t r = 0; r < ranks.size(); ++r) {
    const RankSetup& setup = ranks[r];
    const int culprit = static_cast<int>(r);
    if (setup.backend != agreed.backend || setup.dtype != agreed.dtype) {
      return Mismatch(culprit, rank,
                      absl::StrCat("expected ", agreed.dtype, " on ",
                                   agreed.backend, " as the leader has, got ",
                                   setup.dtype, " on ", setup.backend));
    }
    if (setup.is_loaded) {
      RETURN_IF_ERROR(CheckLoadedLimits(setup, agreed, culprit, rank));
      if (loaded_by < 0) loaded_by = culprit;
    }
    agreed.limits.num_pages =
        std::min(agreed.limits.num_pages, setup.limits.num_pages);
  }
  if (loaded_by < 0) return agreed;
  agreed.limits.num_pages = ranks[loaded_by].limits.num_pages;
  for (size_t r = 0; r < ranks.size(); ++r) {
    const int num_pages = ranks[r].limits.num_pages;
    const bool fits = ranks[r].is_loaded ? num_pages == agreed.limits.num_pages
                                         : num_pages >= agreed.limits.num_pages;
    if (fits) continue;
    return Mismatch(static_cast<int>(r), rank,
                    absl::StrCat("expected room for ", agreed.limits.num_pages,
                                 " pages, which rank ", loaded_by,
                                 " is loaded with, got ", num_pages));
  }
  return agreed;
}

}  // namespace blockserve
