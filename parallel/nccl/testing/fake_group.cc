#include "parallel/nccl/testing/fake_group.h"

#include <cstring>

#include "parallel/nccl/testing/fake_cuda.h"

namespace blockserve {
namespace {

using Kind = FakeCollective::Kind;

}  // namespace

size_t BytesOf(const FakeCollective& collective) {
  if (collective.type == ncclFloat32) return collective.count * sizeof(float);
  if (collective.type != ncclUint8) ReportMisuse("a type the fake lacks");
  return collective.count;
}

size_t SentBytesOf(const FakeCollective& collective, int size) {
  return BytesOf(collective) * (collective.kind == Kind::kReduceScatter
                                    ? static_cast<size_t>(size)
                                    : size_t{1});
}

ThreadFakeGroup::ThreadFakeGroup(int size)
    : FakeGroup(size),
      is_aborted_(static_cast<size_t>(size)),
      next_round_(static_cast<size_t>(size)) {}

void ThreadFakeGroup::Join(int) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++num_joined_;
}

bool ThreadFakeGroup::IsComplete() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return num_joined_ == size();
}

void ThreadFakeGroup::Run(int rank, const FakeCollective& collective) {
  const auto self = static_cast<size_t>(rank);
  std::unique_lock<std::mutex> lock(mutex_);
  if (is_aborted_[self]) return;
  Round& round = rounds_[next_round_[self]++];
  round.come[rank] = collective;
  if (static_cast<int>(round.come.size()) == size() && Matches(round)) {
    Perform(round);
    round.is_done = true;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return round.is_done || is_aborted_[self]; });
  // Its memory may be freed now: the peers shall not find it here.
  if (!round.is_done) round.come.erase(rank);
}

void ThreadFakeGroup::Hang(int rank) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return is_aborted_[static_cast<size_t>(rank)]; });
}

void ThreadFakeGroup::Abort(int rank) {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_aborted_[static_cast<size_t>(rank)] = true;
  changed_.notify_all();
}

bool ThreadFakeGroup::Matches(const Round& round) const {
  const FakeCollective& first = round.come.at(0);
  for (const auto& [rank, other] : round.come) {
    if (other.kind != first.kind || other.count != first.count ||
        other.type != first.type || other.root != first.root) {
      return false;
    }
  }
  return true;
}

void ThreadFakeGroup::Perform(Round& round) const {
  const FakeCollective& first = round.come.at(0);
  const size_t num_bytes = BytesOf(first);
  const bool sums = first.kind == Kind::kAllReduce ||
                    first.kind == Kind::kReduce ||
                    first.kind == Kind::kReduceScatter;
  if (sums) {
    const size_t num_terms = first.count * (first.kind == Kind::kReduceScatter
                                                ? static_cast<size_t>(size())
                                                : size_t{1});
    std::vector<float> sum(num_terms, 0.0f);
    for (const auto& [rank, part] : round.come) {
      for (size_t i = 0; i < num_terms; ++i) {
        const float term = static_cast<const float*>(part.send)[i];
        sum[i] = rank == 0 ? term : sum[i] + term;
      }
    }
    for (const auto& [rank, part] : round.come) {
      if (first.kind == Kind::kReduce && rank != first.root) continue;
      const size_t begin = first.kind == Kind::kReduceScatter
                               ? static_cast<size_t>(rank) * first.count
                               : 0;
      std::memcpy(part.receive, sum.data() + begin, num_bytes);
    }
    return;
  }
  for (const auto& [owner, from] : round.come) {
    if (first.kind == Kind::kBroadcast && owner != first.root) continue;
    const size_t offset = first.kind == Kind::kAllGather
                              ? static_cast<size_t>(owner) * num_bytes
                              : 0;
    for (const auto& [rank, to] : round.come) {
      std::memmove(static_cast<std::byte*>(to.receive) + offset, from.send,
                   num_bytes);
    }
  }
}

}  // namespace blockserve
