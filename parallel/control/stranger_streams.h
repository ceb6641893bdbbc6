// The leader's streams whose peers have not proven who they are, and what
// becomes known of those that are refused.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_STRANGER_STREAMS_H_
#define BLOCKSERVE_PARALLEL_CONTROL_STRANGER_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "parallel/control/admission.h"
#include "parallel/control/rank_state.h"

namespace blockserve {

// Handshakes take two round trips, so a flood of strangers pushes out
// strangers, not ranks.
inline constexpr size_t kMaxStrangers = 64;

// Bounded in number and time. Pure.
class StrangerStreams {
 public:
  struct Stranger {
    std::string peer;
    Admission admission;
    absl::Time deadline;
  };

  bool IsFull() const { return strangers_.size() >= kMaxStrangers; }
  // The one that has waited longest. There is one.
  StreamId Oldest() const { return strangers_.begin()->first; }
  // One whose deadline has passed.
  std::optional<StreamId> FindLate(absl::Time now) const;
  absl::Time NextDeadline() const;

  void Add(StreamId stream, std::string peer, absl::Time deadline);
  // Null if it is no stranger's.
  Stranger* Find(StreamId stream);
  // No longer one. It is there.
  Stranger Take(StreamId stream);
  void Erase(StreamId stream) { strangers_.erase(stream); }

 private:
  // Streams are numbered in the order in which they were opened.
  std::map<StreamId, Stranger> strangers_;
};

// Counts all refusals and lets few of them into the log. Pure.
class RefusalLog {
 public:
  // Without a line in the log.
  void Count(const std::string& reason, std::string what);
  // A line for the log, unless there was one less than a second ago.
  std::optional<std::string> Add(const std::string& peer,
                                 const Refusal& refusal, absl::Time now);

  const std::map<std::string, int64_t>& counts() const { return counts_; }
  // Of the last one; empty before the first.
  const std::string& last() const { return last_; }

 private:
  std::map<std::string, int64_t> counts_;  // by reason
  std::string last_;
  absl::Time next_line_ = absl::InfinitePast();
  int64_t num_unlogged_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_STRANGER_STREAMS_H_
