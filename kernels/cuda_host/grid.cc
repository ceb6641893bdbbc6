#include "kernels/cuda_host/grid.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda_host/cta.h"
#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/sanitizers.h"

namespace blockserve::cuda_host {
namespace {

// Device threads of this host thread, made once.
class ThreadPool {
 public:
  // `count` of them; others for another `turn`, because ThreadSanitizer takes
  // what one fiber does for ordered.
  std::vector<DeviceThread*> Take(size_t begin, size_t count, size_t turn) {
    while (threads_.size() < begin + count) {
      threads_.push_back(std::make_unique<DeviceThread>());
    }
    std::vector<DeviceThread*> taken(count);
    for (size_t i = 0; i < count; ++i) {
      taken[i] = threads_[begin + (i + turn * 7) % count].get();
    }
    return taken;
  }

 private:
  std::vector<std::unique_ptr<DeviceThread>> threads_;
};

thread_local ThreadPool pool;

uint3 IndexOf(unsigned linear, const dim3& extents) {
  return {linear % extents.x, linear / extents.x % extents.y,
          linear / (extents.x * extents.y)};
}

void RunTogether(std::vector<std::unique_ptr<Cta>>& ctas, GridContext& grid) {
  size_t num_running = ctas.size();
  size_t turn = 0;
  const bool is_random = grid.policy == Policy::kRandomThreads ||
                         grid.policy == Policy::kRandomWarps;
  while (num_running > 0) {
    const size_t begin = is_random ? grid.random() : turn++;
    Cta* chosen = nullptr;
    for (size_t i = 0; i < ctas.size() && chosen == nullptr; ++i) {
      Cta& cta = *ctas[(begin + i) % ctas.size()];
      if (!cta.is_done() && cta.can_run()) chosen = &cta;
    }
    if (chosen == nullptr) {
      for (const auto& cta : ctas) {
        if (!cta->is_done()) cta->FailDeadlocked();
      }
    }
    chosen->RunOne();
    if (chosen->is_done()) --num_running;
  }
  for (const auto& cta : ctas) cta->Finish();
}

void RunAlone(Cta& cta) {
  while (!cta.is_done()) {
    if (!cta.can_run()) cta.FailDeadlocked();
    cta.RunOne();
  }
  cta.Finish();
}

std::vector<unsigned> OrderOfCtas(unsigned count, GridContext& grid) {
  std::vector<unsigned> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (grid.policy == Policy::kReverse) {
    std::reverse(order.begin(), order.end());
  } else if (grid.policy != Policy::kForward) {
    std::shuffle(order.begin(), order.end(), grid.random);
  }
  return order;
}

}  // namespace

void RunGrid(const GridShape& shape, const std::function<void()>& body) {
  if (current_thread != nullptr) Fail("a kernel launched by device code");
  const size_t num_threads = size_t{shape.cta.x} * shape.cta.y * shape.cta.z;
  const unsigned num_ctas = shape.grid.x * shape.grid.y * shape.grid.z;
  const ScheduleOptions schedule = CurrentSchedule();
  GridContext grid;
  grid.name = shape.name;
  grid.grid_extents = shape.grid;
  grid.cta_extents = shape.cta;
  grid.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  grid.body = &body;
  grid.policy = schedule.policy;
  grid.random = SeededRandom(schedule.seed);

  OrderBefore(&grid.launched);
  const std::vector<unsigned> order = OrderOfCtas(num_ctas, grid);
  if (shape.is_cooperative) {
    std::vector<std::unique_ptr<Cta>> ctas;
    for (size_t i = 0; i < order.size(); ++i) {
      ctas.push_back(std::make_unique<Cta>());
      ctas.back()->Start(grid, IndexOf(order[i], shape.grid),
                         pool.Take(i * num_threads, num_threads, 0));
    }
    RunTogether(ctas, grid);
  } else {
    thread_local Cta cta;
    for (size_t i = 0; i < order.size(); ++i) {
      cta.Start(grid, IndexOf(order[i], shape.grid),
                pool.Take(0, num_threads, i));
      RunAlone(cta);
    }
  }
  OrderAfter(&grid.ended);
}

}  // namespace blockserve::cuda_host
