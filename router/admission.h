// Bounds what the router lets in: work beyond the limits is refused at once,
// with a hint when to come back, instead of queueing without end.
#ifndef BLOCKSERVE_ROUTER_ADMISSION_H_
#define BLOCKSERVE_ROUTER_ADMISSION_H_

#include <cstdint>
#include <memory>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/rpc_error.h"

namespace blockserve {

struct AdmissionOptions {
  // Sequences at the workers; a request with n choices is n sequences.
  int max_outstanding_requests = 1024;
  // Prompt tokens of requests that wait for their first token. A single
  // prompt above it is let in when nothing else waits.
  int64_t max_waiting_prompt_tokens = 1 << 20;
  absl::Duration retry_delay = absl::Milliseconds(500);
};

// Thread-safe.
class Admission {
 public:
  // What a request was let in with; gives it back when destroyed. Not
  // thread-safe itself.
  class Ticket {
   public:
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    // The prompt does not wait any more.
    void StopWaiting();

   private:
    friend class Admission;
    Ticket(Admission* admission, int num_sequences, int64_t prompt_tokens)
        : admission_(admission),
          num_sequences_(num_sequences),
          prompt_tokens_(prompt_tokens) {}

    Admission* const admission_;
    const int num_sequences_;
    int64_t prompt_tokens_;
  };

  explicit Admission(const AdmissionOptions& options) : options_(options) {}

  // A ticket, which must not outlive this, or RESOURCE_EXHAUSTED QUEUE_FULL.
  std::variant<std::unique_ptr<Ticket>, RpcError> Admit(int num_sequences,
                                                        int64_t prompt_tokens);

  int num_outstanding() const;
  int64_t waiting_prompt_tokens() const;

 private:
  void GiveBack(int num_sequences, int64_t prompt_tokens);

  const AdmissionOptions options_;
  mutable absl::Mutex mutex_;
  int num_outstanding_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t waiting_prompt_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_ADMISSION_H_
