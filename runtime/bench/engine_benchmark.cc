#include "runtime/bench/engine_benchmark.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/profile/machine_peaks.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/bench/machine_load.h"
#include "runtime/group/in_process_group.h"
#include "runtime/worker/available_memory.h"

namespace blockserve {
namespace {

constexpr int kMaxAutoBatch = 1 << 14;
constexpr int kPeakSamples = 3;  // before the runs, and as many after them

int NumUsableCores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// On a thread of its own, which takes its OpenMP threads along when it ends.
// Where a process has more of them than cores, as with those of this thread
// beside the engine's, libgomp lets them sleep at every barrier of a step
// instead of waiting busily for a moment.
template <typename Function>
auto OnPassingThread(const Function& function) {
  std::optional<decltype(function())> result;
  std::thread([&] { result.emplace(function()); }).join();
  return *std::move(result);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

absl::Status CheckOptions(const EngineBenchOptions& options) {
  if (options.model.empty() == options.random.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected either --model or --random, got ",
                     options.model.empty() ? "neither" : "both"));
  }
  const struct {
    const char* name;
    int64_t value;
    int64_t least;
  } kCounts[] = {{"--prefill", options.prefill, 1},
                 {"--decode", options.decode, 1},
                 {"--batch", options.batch, 0},
                 {"--repeat", options.repeat, 1},
                 {"--ranks", options.num_ranks, 1},
                 {"--max_prefill_units", options.max_prefill_units, 1},
                 {"--memory_limit", options.memory_limit, 0}};
  for (const auto& count : kCounts) {
    if (count.value >= count.least) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(count.name, ": expected at least ", count.least, ", got ",
                     count.value));
  }
  return absl::OkStatus();
}

// Measures the machine's peaks again and again.
class PeakMeter {
 public:
  PeakMeter(DType dtype, int num_threads, size_t bandwidth_bytes)
      : dtype_(dtype),
        num_threads_(num_threads),
        bandwidth_bytes_(bandwidth_bytes) {}

  absl::Status Sample() {
    for (int i = 0; i < kPeakSamples; ++i) {
      ASSIGN_OR_RETURN(const double flops,
                       MeasureGemmPeak(dtype_, num_threads_));
      flops_.push_back(flops);
    }
    ASSIGN_OR_RETURN(
        const ReadBandwidthMeter meter,
        ReadBandwidthMeter::Create(bandwidth_bytes_, num_threads_));
    for (int i = 0; i < kPeakSamples; ++i) {
      bandwidths_.push_back(meter.Measure());
    }
    return absl::OkStatus();
  }
  // The best product counts: what else runs can only make one slower.
  MachinePeaks Peaks() const {
    return {*std::max_element(flops_.begin(), flops_.end()),
            Median(bandwidths_)};
  }

 private:
  const DType dtype_;
  const int num_threads_;
  const size_t bandwidth_bytes_;
  std::vector<double> flops_;
  std::vector<double> bandwidths_;
};

class EngineBenchmark {
 public:
  EngineBenchmark(const EngineBenchOptions& options,
                  const std::function<void(std::string_view)>& progress)
      : options_(options), progress_(progress) {}

  absl::StatusOr<EngineBenchReport> Run() {
    RETURN_IF_ERROR(Prepare());
    RETURN_IF_ERROR(ChooseBatch());
    PeakMeter peaks(device_->dtype(),
                    options_.backend.num_threads * options_.num_ranks,
                    options_.bandwidth_bytes);
    if (IsOnGpu()) {
      RETURN_IF_ERROR(MeasureThroughput());
      return std::move(report_);
    }
    Tell("peaks of the machine");
    RETURN_IF_ERROR(OnPassingThread([&] { return peaks.Sample(); }));
    RETURN_IF_ERROR(MeasureThroughput());
    if (options_.phases) RETURN_IF_ERROR(MeasurePhases());
    Tell("peaks of the machine");
    RETURN_IF_ERROR(OnPassingThread([&] { return peaks.Sample(); }));
    report_.peaks = peaks.Peaks();
    return std::move(report_);
  }

 private:
  // The peaks of the host say nothing there, nor do its clocks around calls
  // that return before the work is done.
  bool IsOnGpu() const { return device_->native_stream() != nullptr; }

  void Tell(std::string_view what) const {
    if (progress_) progress_(what);
  }

  absl::Status Prepare() {
    RETURN_IF_ERROR(CheckOptions(options_));
    const bool is_random = !options_.random.empty();
    if (is_random) {
      auto model = RandomBenchModel(options_.random, options_.seed);
      if (!model.ok()) {
        return absl::Status(
            model.status().code(),
            absl::StrCat("--random: ", model.status().message()));
      }
      model_ = *std::move(model);
    } else {
      ASSIGN_OR_RETURN(model_, BenchModelFromDirectory(options_.model));
    }
    if (options_.backend.num_threads == 0) {
      options_.backend.num_threads =
          std::max(1, NumUsableCores() / options_.num_ranks);
    }
    ASSIGN_OR_RETURN(device_, CreateBackend(options_.backend));
    report_.model =
        model_.config.name.empty() ? options_.model : model_.config.name;
    report_.has_random_weights = is_random;
    report_.backend = device_->Describe();
    report_.dtype = std::string(NameOf(device_->dtype()));
    report_.num_ranks = options_.num_ranks;
    report_.num_threads = options_.backend.num_threads;
    report_.tokens_per_step = model_.config.tokens_per_step();
    report_.seed = options_.seed;
    report_.shape = {.batch = std::max(1, options_.batch),
                     .prefill = options_.prefill,
                     .decode = options_.decode,
                     .max_prefill_units = options_.max_prefill_units};
    return absl::OkStatus();
  }

  absl::Status ChooseBatch() {
    const int64_t limit =
        options_.memory_limit > 0
            ? options_.memory_limit
            : device_->FreeDeviceBytes().value_or(AvailableMemoryBytes()) / 4 *
                  3;
    const auto pools_of = [this](int batch) {
      BatchShape shape = report_.shape;
      shape.batch = batch;
      return PlanMemory(model_, shape, options_.num_ranks, *device_);
    };
    int& batch = report_.shape.batch;
    if (options_.batch == 0) {
      Tell("the largest batch that fits");
      ASSIGN_OR_RETURN(batch,
                       LargestBatch(limit, kMaxAutoBatch,
                                    [&](int probe) -> absl::StatusOr<int64_t> {
                                      ASSIGN_OR_RETURN(const MemoryPools pools,
                                                       pools_of(probe));
                                      return pools.total();
                                    }));
    }
    ASSIGN_OR_RETURN(report_.memory, pools_of(batch));
    if (report_.memory.total() > limit) {
      return absl::ResourceExhaustedError(
          absl::StrCat("--batch: expected a batch that fits in ", limit,
                       " bytes, got ", batch, ", which takes ",
                       report_.memory.total(), "; --batch=auto finds one"));
    }
    if (HasRoofline(model_.config)) {
      const auto element_bytes = static_cast<int>(SizeOf(device_->dtype()));
      report_.prefill_work =
          PrefillWork(model_.config, element_bytes, report_.shape);
      report_.decode_work =
          DecodeWork(model_.config, element_bytes, report_.shape);
    }
    return absl::OkStatus();
  }

  // `timed` (optional) gets rank 0's device, with clocks around it.
  absl::StatusOr<std::unique_ptr<InProcessGroup>> Load(
      TimedOps** timed = nullptr) {
    InProcessGroupOptions group;
    group.size = options_.num_ranks;
    group.model.limits = LimitsFor(model_.config, report_.shape);
    group.create_ops =
        [this, timed](int rank) -> absl::StatusOr<std::unique_ptr<Ops>> {
      BackendOptions backend = options_.backend;
      backend.rank = rank;
      ASSIGN_OR_RETURN(std::unique_ptr<Ops> ops, CreateBackend(backend));
      if (timed == nullptr || rank > 0) return ops;
      auto around = std::make_unique<TimedOps>(std::move(ops), &MonotonicNow);
      *timed = around.get();
      return around;
    };
    if (timed != nullptr) {
      group.model.on_part = [timed](StepPart part) {
        (*timed)->SetPart(static_cast<int>(part));
      };
    }
    return InProcessGroup::Load(model_.config, model_.open_checkpoint, group);
  }

  // The same steps as those that follow, but few: what a backend makes on first
  // use is made.
  absl::Status WarmUp(BatchRunner& runner) const {
    BatchShape shape = report_.shape;
    shape.prefill = std::min(shape.prefill, 64);
    shape.decode = std::min(shape.decode, 4 * report_.tokens_per_step);
    return runner.Run(shape, options_.seed).status();
  }

  absl::Status MeasureThroughput() {
    Tell("loading");
    const absl::Time begin = MonotonicNow();
    ASSIGN_OR_RETURN(std::unique_ptr<InProcessGroup> model,
                     OnPassingThread([this] { return Load(); }));
    report_.load_time = MonotonicNow() - begin;
    SetMemory(*model);
    BatchRunner runner(std::move(model), report_.shape);
    Tell("warming up");
    RETURN_IF_ERROR(WarmUp(runner));
    const double num_tokens =
        double{1} * report_.shape.batch * report_.shape.decode;
    const std::optional<CpuTimes> cpu_before = ReadCpuTimes();
    for (int i = 1; i <= options_.repeat; ++i) {
      Tell(absl::StrCat("run ", i, " of ", options_.repeat));
      ASSIGN_OR_RETURN(const BatchTimes times,
                       runner.Run(report_.shape, options_.seed + i));
      report_.times += times;
      report_.tokens_per_second.push_back(num_tokens /
                                          absl::ToDoubleSeconds(times.total));
    }
    const std::optional<CpuTimes> cpu_after = ReadCpuTimes();
    if (cpu_before.has_value() && cpu_after.has_value()) {
      report_.others_cpu_share = OthersShare(*cpu_before, *cpu_after);
    }
    std::sort(report_.tokens_per_second.begin(),
              report_.tokens_per_second.end());
    report_.resident_bytes = ResidentBytes();
    return absl::OkStatus();
  }

  // As loaded: matrices may be padded when they are packed.
  void SetMemory(const InProcessGroup& group) {
    report_.memory = MemoryPools();
    for (int rank = 0; rank < options_.num_ranks; ++rank) {
      const Model& model = group.rank_model(rank);
      for (const PartSize& part : model.parts()) {
        report_.memory.weights += part.num_bytes;
      }
      report_.memory.kv_cache +=
          static_cast<int64_t>(model.kv_bytes_per_page()) *
          model.limits().num_pages;
      report_.memory.scratch += static_cast<int64_t>(model.scratch_bytes());
    }
  }

  absl::Status MeasurePhases() {
    Tell("one run by phase");
    TimedOps* timed = nullptr;
    ASSIGN_OR_RETURN(std::unique_ptr<InProcessGroup> model,
                     OnPassingThread([&] { return Load(&timed); }));
    const Communicator* const communicator = model->communicator(0);
    BatchRunner runner(std::move(model), report_.shape);
    RETURN_IF_ERROR(WarmUp(runner));
    timed->Reset();
    const CommunicatorStats before =
        communicator == nullptr ? CommunicatorStats() : communicator->stats();
    ASSIGN_OR_RETURN(const BatchTimes times,
                     runner.Run(report_.shape, options_.seed));
    CommunicatorStats stats =
        communicator == nullptr ? CommunicatorStats() : communicator->stats();
    for (int op = 0; op < kNumCollectiveOps; ++op) {
      stats.ops[op].time -= before.ops[op].time;
    }
    report_.phases = PhasesOf(timed->times(), stats, times.total);
    report_.has_phases = true;
    return absl::OkStatus();
  }

  EngineBenchOptions options_;
  const std::function<void(std::string_view)>& progress_;
  BenchModel model_;
  std::unique_ptr<Ops> device_;  // asked for sizes only
  EngineBenchReport report_;
};

double Rate(double count, absl::Duration time) {
  return time > absl::ZeroDuration() ? count / absl::ToDoubleSeconds(time) : 0;
}

}  // namespace

double EngineBenchReport::MedianTokensPerSecond() const {
  return Median(tokens_per_second);
}

double EngineBenchReport::DecodeTokensPerSecond() const {
  return Rate(static_cast<double>(times.decode_tokens), times.decode);
}

double EngineBenchReport::PrefillTokensPerSecond() const {
  const double num_batches = static_cast<double>(tokens_per_second.size());
  return Rate(num_batches * shape.batch * shape.prefill, times.prefill);
}

double EngineBenchReport::RooflineShare() const {
  Work work = prefill_work;
  work += decode_work;
  const double num_tokens = double{1} * shape.batch * shape.decode;
  return work.SecondsAt(peaks.gemm_flops, peaks.read_bytes_per_second) /
         num_tokens * MedianTokensPerSecond();
}

double EngineBenchReport::DecodeRooflineShare() const {
  const double num_tokens = double{1} * shape.batch * shape.decode;
  return decode_work.SecondsAt(peaks.gemm_flops, peaks.read_bytes_per_second) /
         num_tokens * DecodeTokensPerSecond();
}

double EngineBenchReport::PrefillRooflineShare() const {
  const double num_batches = static_cast<double>(tokens_per_second.size());
  const double num_tokens = double{1} * shape.batch * shape.decode;
  // Tokens that were written in steps with prompt units belong to these.
  const double mixed_share =
      1 - static_cast<double>(times.decode_tokens) / (num_batches * num_tokens);
  Work work = mixed_share * decode_work;
  work += prefill_work;
  return Rate(num_batches *
                  work.SecondsAt(peaks.gemm_flops, peaks.read_bytes_per_second),
              times.prefill);
}

absl::StatusOr<EngineBenchReport> RunEngineBenchmark(
    const EngineBenchOptions& options,
    const std::function<void(std::string_view)>& progress) {
  return EngineBenchmark(options, progress).Run();
}

}  // namespace blockserve
