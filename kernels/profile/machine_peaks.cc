#include "kernels/profile/machine_peaks.h"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace blockserve {
namespace {

constexpr int64_t kRows = 256;
constexpr int64_t kOutDim = 3072;
constexpr int64_t kInDim = 768;
constexpr double kFlop = 2.0 * kRows * kOutDim * kInDim;
// Runs are short, so that some of them pass without another process in the way.
constexpr int kProductsPerRun = 2;
constexpr int kMinRuns = 8;
constexpr double kSeconds = 0.2;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The calling thread's default team, as oneDNN reads it.
class ScopedThreads {
 public:
  explicit ScopedThreads(int num_threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(num_threads);
  }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;
  // The team must not outlive the measurement: with more OpenMP threads than
  // cores libgomp lets the threads of what is measured next sleep too soon.
  ~ScopedThreads() {
    omp_set_num_threads(before_);
    omp_pause_resource_all(omp_pause_soft);
  }

 private:
  const int before_;
};

// May throw dnnl::error.
double RunGemm(dnnl::memory::data_type type) {
  using dnnl::memory;
  using tag = memory::format_tag;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc input_desc({kRows, kInDim}, type, tag::ab);
  const memory::desc output_desc({kRows, kOutDim}, type, tag::ab);
  const dnnl::matmul::primitive_desc description(
      dnnl::matmul::desc(input_desc,
                         memory::desc({kInDim, kOutDim}, type, tag::any),
                         output_desc),
      engine);
  memory input(input_desc, engine);
  memory weight(description.weights_desc(), engine);
  memory output(output_desc, engine);
  // Numbers near one: zeros would be faster than what a model multiplies.
  for (const memory* operand : {&input, &weight}) {
    const size_t num_bytes = operand->get_desc().get_size();
    auto* const words = static_cast<uint16_t*>(operand->get_data_handle());
    for (size_t i = 0; i < num_bytes / 2; ++i) {
      words[i] = static_cast<uint16_t>(0x3f00 + (i * 40503u >> 4) % 0x100);
    }
  }
  const dnnl::matmul product(description);
  const std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, input},
                                                     {DNNL_ARG_WEIGHTS, weight},
                                                     {DNNL_ARG_DST, output}};
  double best = 0;
  const Clock::time_point start = Clock::now();
  for (int run = 0; run < kMinRuns || SecondsSince(start) < kSeconds; ++run) {
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < kProductsPerRun; ++i) {
      product.execute(stream, arguments);
    }
    stream.wait();
    best = std::max(best, kProductsPerRun * kFlop / SecondsSince(begin));
  }
  return best;
}

}  // namespace

absl::StatusOr<double> MeasureGemmPeak(DType dtype, int num_threads) {
  const ScopedThreads threads(num_threads);
  try {
    return RunGemm(dtype == DType::kBFloat16 ? dnnl::memory::data_type::bf16
                                             : dnnl::memory::data_type::f32);
  } catch (const dnnl::error& error) {
    return absl::InvalidArgumentError(absl::StrCat("oneDNN cannot multiply ",
                                                   std::string(NameOf(dtype)),
                                                   " here: ", error.what()));
  }
}

absl::StatusOr<ReadBandwidthMeter> ReadBandwidthMeter::Create(size_t num_bytes,
                                                              int num_threads) {
  void* const memory = mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no ", num_bytes, " bytes to measure the bandwidth of memory with"));
  }
  const ScopedThreads threads(num_threads);
  auto* const words = static_cast<uint64_t*>(memory);
  const auto num_words = static_cast<int64_t>(num_bytes / sizeof(uint64_t));
#pragma omp parallel for num_threads(num_threads) schedule(static)
  for (int64_t i = 0; i < num_words; ++i) words[i] = static_cast<uint64_t>(i);
  return ReadBandwidthMeter(memory, num_bytes, num_threads);
}

ReadBandwidthMeter::ReadBandwidthMeter(ReadBandwidthMeter&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      num_bytes_(other.num_bytes_),
      num_threads_(other.num_threads_) {}

ReadBandwidthMeter::~ReadBandwidthMeter() {
  if (memory_ != nullptr) munmap(memory_, num_bytes_);
}

double ReadBandwidthMeter::Measure() const {
  const ScopedThreads threads(num_threads_);
  const auto* const words = static_cast<const uint64_t*>(memory_);
  const auto num_words = static_cast<int64_t>(num_bytes_ / sizeof(uint64_t));
  uint64_t sum = 0;
  const Clock::time_point begin = Clock::now();
#pragma omp parallel for num_threads(num_threads_) schedule(static) \
    reduction(+ : sum)
  for (int64_t i = 0; i < num_words; ++i) sum += words[i];
  const double seconds = SecondsSince(begin);
  // Somebody has to want the sum.
  static std::atomic<uint64_t> sink;
  sink.store(sum, std::memory_order_relaxed);
  return static_cast<double>(num_bytes_) / seconds;
}

}  // namespace blockserve
