// What becomes of a sequence whose attempt at a worker has failed.
#ifndef BLOCKSERVE_ROUTER_RESUME_H_
#define BLOCKSERVE_ROUTER_RESUME_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace blockserve {

// Defects that the simulation plants to see whether it finds them.
struct PlantedResumeDefects {
  bool forget_tokens = false;  // those of the second attempt and later
  bool forget_losses = false;
  bool never_wait = false;
};

struct ResumeOptions {
  // Go on elsewhere after tokens were delivered; else such a loss ends the
  // request, unless the client has seen nothing yet.
  bool mid_stream_resume = true;
  // Workers that may fail under one request, the first included.
  int max_attempts = 3;
  // How long a begun sequence waits for a worker that can take it.
  absl::Duration resume_timeout = absl::Seconds(30);
  PlantedResumeDefects planted = {};
};

enum class AttemptFailure {
  kLost,     // the worker, or a rank of its group, went down with it
  kLeft,     // the worker gave the sequence up, as it leaves
  kRefused,  // the worker would not take it
};

// One sequence: the tokens delivered, the workers tried. Rules:
//  - before the first token another worker is tried, each once;
//  - after it, with mid_stream_resume, tokens are replayed at any worker, those
//    not tried first, and the sequence waits if there is none;
//  - two losses with no token delivered in between are taken for the request's
//    own doing: such a request reaches two groups at most (kPoison);
//  - max_attempts bounds the rest. A worker that leaves after it delivered
//    tokens does not count: a long stream may outlive many rolling restarts;
//  - nothing is tried after the deadline.
// State only, no I/O; not thread-safe.
class ResumePlan {
 public:
  enum class Verdict {
    kRetry,     // at another worker
    kPoison,    // the request kills groups
    kGiveUp,    // attempts are used up, or may not be repeated
    kDeadline,  // there is no time left
  };

  // `restartable`: nothing has been shown to the client before the end, so that
  // without mid_stream_resume the sequence may begin anew.
  ResumePlan(const ResumeOptions& options, absl::Time deadline,
             bool restartable)
      : options_(options), deadline_(deadline), restartable_(restartable) {}

  void OnDispatched(int worker);
  void OnTokens(absl::Span<const uint32_t> ids);
  Verdict OnFailed(AttemptFailure failure, absl::Time now);

  // The tokens so far are void: only without mid_stream_resume.
  void Restart() { tokens_.clear(); }
  bool restarts() const { return !options_.mid_stream_resume && restartable_; }

  // Whether to wait for a worker, now that none can be had.
  bool MayWait() const { return MayReturn() && !options_.planted.never_wait; }
  // Begins a wait unless one is under way.
  void BeginWait(absl::Time now);
  bool WaitIsOver(absl::Time now) const { return now >= wait_until_; }

  // Those to try last or, before the first token, not at all.
  absl::Span<const int> tried() const { return tried_; }
  bool MayReturn() const { return options_.mid_stream_resume && begun(); }

  // Delivered, so to be replayed.
  absl::Span<const uint32_t> tokens() const { return tokens_; }
  bool begun() const { return !tokens_.empty(); }
  // How often the sequence was dispatched again.
  int num_migrations() const { return num_dispatches_ - 1; }

 private:
  const ResumeOptions options_;
  const absl::Time deadline_;
  const bool restartable_;

  std::vector<uint32_t> tokens_;
  std::vector<int> tried_;
  int num_dispatches_ = 0;
  int num_failures_ = 0;
  size_t dispatched_at_ = 0;  // tokens delivered then
  std::optional<size_t> lost_at_;
  absl::Time wait_until_ = absl::InfiniteFuture();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_RESUME_H_
