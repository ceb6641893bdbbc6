// What the leader's and the other ranks' state machines have in common: the
// side that is turned to the rank's own process.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_RANK_STATE_H_
#define BLOCKSERVE_PARALLEL_CONTROL_RANK_STATE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "parallel/control/group_types.h"

namespace blockserve {

// An epoch has begun; follows a BeginForm.
struct EpochFormed {
  Formation formation;
};
// The group will not have this rank; ends the wait of BeginForm.
struct FormRefused {
  absl::Status why;
};
// Follows every EpochFormed once.
struct EpochBroken {
  absl::Status why;
};
struct PlanArrived {
  uint64_t number = 0;
  std::string payload;
};
struct BlobsArrived {
  std::vector<std::string> blobs;  // by rank
};
struct LogLine {
  enum Severity { kInfo, kWarning };
  Severity severity = kInfo;
  std::string text;
};
using LocalEvent = std::variant<EpochFormed, FormRefused, EpochBroken,
                                PlanArrived, BlobsArrived, LogLine>;

// Streams are named by their driver, which never uses a number twice.
using StreamId = uint64_t;

// Pure: no I/O, no clock, no threads. Inputs are calls, outputs are events and,
// in the subclasses, actions on streams; both are to be taken after each input.
class RankState {
 public:
  virtual ~RankState() = default;

  // Time passes; to be called at NextTick() at the latest.
  virtual void Tick(absl::Time now) = 0;
  virtual absl::Time NextTick() const = 0;

  // The process waits for a new epoch; gives up the current one.
  virtual void BeginForm(absl::Time now) = 0;
  // It no longer waits.
  virtual void CancelForm(absl::Time now) = 0;
  // Who is missing, for one who has waited in vain.
  virtual std::string DescribeWait() const = 0;

  // These are ignored without an epoch.
  virtual void PutBlob(std::string blob, absl::Time now) = 0;
  virtual void Report(const StepReport& report, absl::Time now) = 0;
  virtual void Fail(const absl::Status& why, absl::Time now) = 0;

  virtual uint64_t epoch() const = 0;  // 0: none
  virtual GroupSnapshot snapshot() const = 0;

  std::vector<LocalEvent> TakeEvents() { return std::exchange(events_, {}); }

 protected:
  // In place: g++ 12 warns of moving a variant that it has just seen filled.
  template <typename Event>
  void Emit(Event event) {
    events_.emplace_back(std::in_place_type<Event>, std::move(event));
  }
  void Log(LogLine::Severity severity, std::string text) {
    Emit(LogLine{severity, std::move(text)});
  }

 private:
  std::vector<LocalEvent> events_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_RANK_STATE_H_
