#include "runtime/engine/engine_core.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/api/ops.h"
#include "runtime/config/model_config.h"

namespace blockserve {
namespace {

// A learned table of positions ends; rotary positions do not.
int MaxUnitsPerSequence(const Model& model) {
  const TrunkConfig& trunk = model.config().cached_trunk();
  const int limit = model.limits().max_units_per_sequence;
  return trunk.kind == TrunkKind::kGptNeo ? std::min(limit, trunk.max_positions)
                                          : limit;
}

RequestLimits RequestLimitsOf(const Model& model,
                              const EngineOptions& options) {
  return {.vocab_size = model.config().vocab_size,
          .max_context_tokens = options.max_context_tokens,
          .layout = LayoutOf(model.config()),
          .max_units_per_sequence = MaxUnitsPerSequence(model),
          .page_length = kPageLength,
          .num_pages = model.limits().num_pages};
}

SchedulerLimits SchedulerLimitsOf(const Model& model,
                                  const EngineOptions& options) {
  const ModelLimits& limits = model.limits();
  return {.max_running =
              std::min({limits.max_sequences_per_step, limits.max_rows_per_step,
                        limits.max_units_per_step}),
          .max_units_per_step = limits.max_units_per_step,
          .max_rows_per_step = limits.max_rows_per_step,
          .max_units_per_sequence = MaxUnitsPerSequence(model),
          .page_length = kPageLength,
          .num_pages = limits.num_pages,
          .max_waiting = options.max_waiting_requests};
}

absl::Status ToStatus(EndCause cause) {
  switch (cause) {
    case EndCause::kCancelled:
      return absl::CancelledError("the request was aborted");
    case EndCause::kQueueDeadline:
      return absl::DeadlineExceededError("deadline exceeded in the queue");
    case EndCause::kRunningDeadline:
      return absl::DeadlineExceededError("deadline exceeded while running");
  }
  return absl::InternalError("unknown cause");
}

}  // namespace

EngineCore::EngineCore(std::unique_ptr<Model> model,
                       const EngineOptions& options, EngineObserver observer,
                       std::function<absl::Time()> clock)
    : model_(std::move(model)),
      observer_(std::move(observer)),
      clock_(std::move(clock)),
      request_limits_(RequestLimitsOf(*model_, options)),
      scheduler_(SchedulerLimitsOf(*model_, options)),
      step_builder_(model_->tokens_per_step(), model_->limits()),
      output_reader_(model_->tokens_per_step(),
                     model_->limits().max_rows_per_step) {
  const size_t max_requests = static_cast<size_t>(
      scheduler_.limits().max_running + options.max_waiting_requests);
  requests_.reserve(max_requests);
  finished_.reserve(max_requests);
  ended_.reserve(max_requests);
}

void EngineCore::Add(std::unique_ptr<ActiveRequest> request) {
  ActiveRequest& added = *request;
  added.index = requests_.size();
  requests_.push_back(std::move(request));
  if (!health_.ok()) {
    Finish(added, health_, clock_());
  } else if (added.CompletesOnArrival()) {
    Finish(added, absl::OkStatus(), clock_());
  } else {
    scheduler_.Enqueue(added);
  }
}

void EngineCore::Schedule() {
  const absl::Time now = clock_();
  ended_.clear();
  scheduler_.RemoveEnded(now, ended_);
  for (const EndedSequence& ended : ended_) {
    Finish(static_cast<ActiveRequest&>(*ended.sequence), ToStatus(ended.cause),
           now);
  }
  scheduler_.Admit(now);
}

void EngineCore::RunStep() {
  const absl::Time begin = clock_();
  const absl::Span<const PlannedChunk> plan = scheduler_.PlanStep();
  if (plan.empty()) return;
  const StepInput input = step_builder_.Build(plan);
  const absl::StatusOr<StepOutput> output = model_->Step(input);
  if (!output.ok()) {
    health_ = absl::IsUnavailable(output.status())
                  ? output.status()
                  : absl::InternalError(
                        absl::StrCat("the model failed in step ", num_steps_,
                                     ": ", output.status().ToString()));
    LOG(ERROR) << health_.message();
    EndAll(health_);
    return;
  }
  last_step_ = clock_();
  ++num_steps_;
  TakeOutput(plan, input, *output, last_step_ - begin);
}

void EngineCore::TakeOutput(absl::Span<const PlannedChunk> plan,
                            const StepInput& input, const StepOutput& output,
                            absl::Duration duration) {
  StepStats stats;
  stats.duration = duration;
  stats.num_sequences = static_cast<int>(plan.size());
  stats.num_rows = static_cast<int>(input.rows.size());
  int num_used_tokens = 0;
  size_t row_begin = 0;
  for (const PlannedChunk& chunk : plan) {
    auto& request = static_cast<ActiveRequest&>(*chunk.sequence);
    const int num_prefill_units_left =
        request.num_prefill_units() - request.units_cached();
    request.Advance(chunk.num_units);
    if (num_prefill_units_left > 0) {
      stats.num_prompt_units += chunk.num_units;
      if (chunk.num_units == num_prefill_units_left) {
        request.NotePrefilled(last_step_);
      }
    }
    const ChunkOutcome outcome = output_reader_.Take(
        request, output, row_begin, chunk.num_rows, last_step_);
    row_begin += static_cast<size_t>(chunk.num_rows);
    num_used_tokens += outcome.num_used_tokens;
    if (outcome.is_done || !outcome.status.ok()) {
      Finish(request, outcome.status, last_step_);
    }
  }
  stats.wasted_tokens = stats.num_rows * input.num_tokens - num_used_tokens;
  if (observer_.on_step) observer_.on_step(stats);
}

void EngineCore::Finish(ActiveRequest& request, const absl::Status& status,
                        absl::Time now) {
  if (request.state() == Sequence::State::kWaiting ||
      request.state() == Sequence::State::kRunning) {
    scheduler_.End(request);
  }
  request.NoteEnd(status, now);
  const size_t index = request.index;
  finished_.push_back(std::move(requests_[index]));
  if (index + 1 < requests_.size()) {
    requests_[index] = std::move(requests_.back());
    requests_[index]->index = index;
  }
  requests_.pop_back();
}

void EngineCore::EndAll(const absl::Status& status) {
  const absl::Time now = clock_();
  while (!requests_.empty()) Finish(*requests_.back(), status, now);
}

void EngineCore::Recover() {
  CHECK(requests_.empty());
  health_ = absl::OkStatus();
}

int EngineCore::DeliverFinished() {
  for (const std::unique_ptr<ActiveRequest>& request : finished_) {
    if (observer_.on_done) observer_.on_done(request->result());
    request->sink().OnDone(request->result());
  }
  const int num_delivered = static_cast<int>(finished_.size());
  finished_.clear();
  return num_delivered;
}

EngineLoad EngineCore::load() const {
  EngineLoad load;
  load.num_running = static_cast<int>(scheduler_.running().size());
  load.num_waiting = static_cast<int>(scheduler_.waiting().size());
  load.waiting_prompt_tokens = scheduler_.waiting_prompt_tokens();
  load.pages_used = scheduler_.pages_used();
  load.pages_total = request_limits_.num_pages;
  load.scratch_slots_used = load.num_running;
  load.scratch_slots_total = scheduler_.limits().max_running;
  load.num_steps = num_steps_;
  load.last_step = last_step_;
  return load;
}

}  // namespace blockserve
