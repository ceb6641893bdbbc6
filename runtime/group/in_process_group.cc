#include "runtime/group/in_process_group.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "parallel/api/rank_group.h"
#include "parallel/local/thread_group.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/group/collective_bytes.h"

namespace blockserve {
namespace {

// A debug build on a busy machine is slow; a rank of a process does not vanish.
constexpr absl::Duration kTimeout = absl::Minutes(5);

using CheckpointOpener =
    std::function<absl::StatusOr<std::unique_ptr<Checkpoint>>()>;

// Destroyed backwards: the model uses all of the above it, and a communicator
// may enqueue on the device's queue.
struct Rank {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Communicator> communicator;
  RankGroup group;
  std::unique_ptr<Model> model;
  absl::Status status;
  std::thread thread;
};

class ThreadedGroup final : public InProcessGroup {
 public:
  // `num_ranks` of a group, from rank `first_rank` on.
  ThreadedGroup(int num_ranks, int first_rank)
      : first_rank_(first_rank), ranks_(num_ranks) {}

  ~ThreadedGroup() override {
    {
      std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_.notify_all();
    for (Rank& rank : ranks_) {
      if (rank.thread.joinable()) rank.thread.join();
    }
  }

  absl::Status LoadRanks(const ModelConfig& config,
                         const CheckpointOpener& open_checkpoint,
                         const InProcessGroupOptions& options) {
    for (int r = 0; r < num_ranks(); ++r) {
      ASSIGN_OR_RETURN(ranks_[r].ops, options.create_ops(first_rank_ + r));
    }
    // Threads exchange what is in the host's memory.
    if (options.size > 1 && !options.connect &&
        ranks_[0].ops->native_stream() != nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(
          "ranks of one process work in host memory, expected one rank on ",
          ranks_[0].ops->Describe(), ", got ", options.size));
    }
    if (options.size > 1) RETURN_IF_ERROR(Connect(config, options));
    for (int r = 0; r < num_ranks(); ++r) {
      Rank& rank = ranks_[r];
      rank.group = {first_rank_ + r, options.size, rank.communicator.get()};
      RETURN_IF_ERROR(LoadRank(config, open_checkpoint, options, rank));
    }
    for (int r = 1; r < num_ranks(); ++r) {
      ranks_[r].thread = std::thread([this, r] { RunSteps(ranks_[r]); });
    }
    return absl::OkStatus();
  }

  const ModelConfig& config() const override { return lead().config(); }
  const ModelLimits& limits() const override { return lead().limits(); }
  std::vector<PartSize> parts() const override { return lead().parts(); }
  size_t kv_bytes_per_page() const override {
    return lead().kv_bytes_per_page();
  }
  size_t scratch_bytes() const override { return lead().scratch_bytes(); }
  const Model& rank_model(int rank) const override {
    return *ranks_[rank].model;
  }
  Communicator* communicator(int rank) const override {
    return ranks_[rank].communicator.get();
  }

  absl::StatusOr<StepOutput> Step(const StepInput& input) override {
    {
      std::lock_guard lock(mutex_);
      input_ = &input;
      num_running_ = static_cast<int>(ranks_.size()) - 1;
      ++num_steps_;
    }
    wake_.notify_all();
    absl::StatusOr<StepOutput> output = RunStep(ranks_[0], input);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return num_running_ == 0; });
    RETURN_IF_ERROR(output.status());
    for (const Rank& rank : ranks_) RETURN_IF_ERROR(rank.status);
    return output;
  }

 private:
  int num_ranks() const { return static_cast<int>(ranks_.size()); }

  absl::Status Connect(const ModelConfig& config,
                       const InProcessGroupOptions& options) {
    const CommunicatorLimits limits = {
        .max_bytes = MaxCollectiveBytes(config, options.model.limits),
        .timeout = kTimeout};
    if (options.connect) {
      RETURN_IF_ERROR(ConnectDevices(limits, options));
    } else {
      std::vector<std::unique_ptr<Communicator>> communicators =
          CreateThreadGroup(options.size, limits);
      for (int r = 0; r < options.size; ++r) {
        ranks_[r].communicator = std::move(communicators[r]);
      }
    }
    for (int r = 0; options.wrap_communicator && r < num_ranks(); ++r) {
      ranks_[r].communicator =
          options.wrap_communicator(r, std::move(ranks_[r].communicator));
    }
    return absl::OkStatus();
  }

  // A rank comes back when all others have come.
  absl::Status ConnectDevices(const CommunicatorLimits& limits,
                              const InProcessGroupOptions& options) {
    std::vector<std::thread> threads;
    for (int r = 0; r < num_ranks(); ++r) {
      threads.emplace_back([&, r] {
        Rank& rank = ranks_[r];
        auto communicator = options.connect(first_rank_ + r, limits, *rank.ops);
        rank.status = communicator.status();
        if (communicator.ok()) rank.communicator = *std::move(communicator);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Rank& rank : ranks_) RETURN_IF_ERROR(rank.status);
    return absl::OkStatus();
  }

  static absl::Status LoadRank(const ModelConfig& config,
                               const CheckpointOpener& open_checkpoint,
                               const InProcessGroupOptions& options,
                               Rank& rank) {
    ModelOptions model_options = options.model;
    model_options.group = &rank.group;
    if (options.observer) {
      model_options.observer = [observer = options.observer,
                                r = rank.group.rank](std::string_view name,
                                                     const TensorView& tensor) {
        observer(r, name, tensor);
      };
    }
    if (rank.group.rank > 0) model_options.on_part = nullptr;
    ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint,
                     open_checkpoint());
    ASSIGN_OR_RETURN(rank.model,
                     LoadModel(config, *checkpoint, model_options, *rank.ops));
    return absl::OkStatus();
  }

  // A rank that fails by itself takes the others out of their collectives. A
  // refused input is refused by all, before any collective.
  static absl::StatusOr<StepOutput> RunStep(Rank& rank,
                                            const StepInput& input) {
    absl::StatusOr<StepOutput> output = rank.model->Step(input);
    if (!output.ok() && !absl::IsInvalidArgument(output.status()) &&
        rank.communicator != nullptr) {
      rank.communicator->Abort(output.status());
    }
    return output;
  }

  void RunSteps(Rank& rank) {
    int64_t num_done = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return is_stopping_ || num_steps_ > num_done; });
      if (is_stopping_) return;
      ++num_done;
      const StepInput* const input = input_;
      lock.unlock();
      rank.status = RunStep(rank, *input).status();
      lock.lock();
      if (--num_running_ == 0) done_.notify_one();
    }
  }

  const Model& lead() const { return *ranks_[0].model; }

  const int first_rank_;
  std::vector<Rank> ranks_;
  std::mutex mutex_;
  std::condition_variable wake_;  // the ranks' threads
  std::condition_variable done_;  // num_running_ is 0
  const StepInput* input_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int num_running_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_steps_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<InProcessGroup>> InProcessGroup::Load(
    const std::string& directory, const InProcessGroupOptions& options) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(directory));
  return Load(
      config, [&] { return Checkpoint::Open(directory); }, options);
}

absl::StatusOr<std::unique_ptr<InProcessGroup>> InProcessGroup::Load(
    const ModelConfig& config, const CheckpointOpener& open_checkpoint,
    const InProcessGroupOptions& options) {
  if (options.size < 1 || options.size > kMaxRanks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ranks: expected 1 to ", kMaxRanks, ", got ", options.size));
  }
  const bool has_one = options.only_rank >= 0;
  if (has_one && (options.only_rank >= options.size || !options.connect)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", options.only_rank, " of ", options.size,
                     " alone: expected a lower one, and how it connects"));
  }
  auto group = has_one ? std::make_unique<ThreadedGroup>(1, options.only_rank)
                       : std::make_unique<ThreadedGroup>(options.size, 0);
  RETURN_IF_ERROR(group->LoadRanks(config, open_checkpoint, options));
  return group;
}

}  // namespace blockserve
