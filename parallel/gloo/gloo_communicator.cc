#include "parallel/gloo/gloo_communicator.h"

#include <gloo/rendezvous/context.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "parallel/api/shard.h"
#include "parallel/gloo/exchange_store.h"
#include "parallel/gloo/own_address.h"
#include "parallel/host/host_communicator.h"
#include "parallel/host/rank_order_sum.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

constexpr int kMaxGlooRanks = 64;
// An AllReduce of less goes to everybody at once instead of slice by slice: one
// round trip instead of two.
constexpr size_t kAtOnceBytes = 64 << 10;

// Gloo waits for a peer to connect five times as long as it is told to wait.
// Everything else here waits as long as it says itself.
std::chrono::milliseconds ConnectTimeout(const CommunicatorLimits& limits) {
  // 0 would be for ever.
  return std::max(absl::ToChronoMilliseconds(limits.timeout / 5),
                  std::chrono::milliseconds(1));
}

// The one place where Gloo's exceptions become a Status.
absl::Status CatchGloo(absl::FunctionRef<void()> body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const ::gloo::IoException& error) {
    const std::string what = error.what();
    return what.find("imed out") != std::string::npos ||
                   what.find("imeout") != std::string::npos
               ? absl::DeadlineExceededError(what)
               : absl::UnavailableError(what);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

// Every round, each rank sends the others some bytes of `send_` and gets some
// into its peers' parts of `received_`; sums are then taken on this side in
// rank order. Memory: (size + 1) * max_bytes.
class GlooCommunicator final : public HostCommunicator {
 public:
  GlooCommunicator(int rank, int size, const CommunicatorLimits& limits,
                   std::shared_ptr<::gloo::rendezvous::Context> context)
      : HostCommunicator("gloo", rank, size, limits),
        context_(std::move(context)),
        timeout_(absl::ToChronoMilliseconds(limits.timeout)),
        send_(limits.max_bytes),
        received_(limits.max_bytes * static_cast<size_t>(size)),
        send_buffer_(context_->createUnboundBuffer(send_.data(), send_.size())),
        receive_buffer_(context_->createUnboundBuffer(received_.data(),
                                                      received_.size())) {}

  // Closes the connections; peers that wait for this rank get an error.
  ~GlooCommunicator() override { Close(); }

 private:
  // Bytes [offset, offset + num_bytes) of a scratch.
  struct Piece {
    size_t offset = 0;
    size_t num_bytes = 0;
  };

  absl::Status RunAllReduce(absl::Span<float> data) override {
    const size_t num_bytes = data.size() * sizeof(float);
    if (size() > 2 && num_bytes > kAtOnceBytes) return AllReduceBySlices(data);
    std::memcpy(send_.data(), data.data(), num_bytes);
    const Piece all = {0, num_bytes};
    RETURN_IF_ERROR(Round([&](int) { return all; }, [&](int) { return all; }));
    Sum(data.data(), static_cast<int64_t>(data.size()), data.data());
    return absl::OkStatus();
  }

  absl::Status AllReduceBySlices(absl::Span<float> data) {
    const auto count = static_cast<int64_t>(data.size());
    RETURN_IF_ERROR(SumOwnSlice(data.data(), count, 1));
    const ShardRange own = RowsOf(count, rank(), size());
    std::memcpy(send_.data(), data.data() + own.begin,
                static_cast<size_t>(own.size()) * sizeof(float));
    const auto slice_of = [&](int peer) {
      return Piece{0, static_cast<size_t>(RowsOf(count, peer, size()).size()) *
                          sizeof(float)};
    };
    RETURN_IF_ERROR(Round([&](int) { return slice_of(rank()); }, slice_of));
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank()) continue;
      std::memcpy(data.data() + RowsOf(count, peer, size()).begin,
                  Received(peer), slice_of(peer).num_bytes);
    }
    return absl::OkStatus();
  }

  absl::Status RunReduceScatter(float* data, int64_t num_rows,
                                int64_t row_length) override {
    return SumOwnSlice(data, num_rows, row_length);
  }

  // Every rank sends each peer that peer's rows, and sums its own.
  absl::Status SumOwnSlice(float* data, int64_t num_rows, int64_t row_length) {
    std::memcpy(send_.data(), data,
                static_cast<size_t>(num_rows * row_length) * sizeof(float));
    const auto rows_of = [&](int peer) {
      const ShardRange rows = RowsOf(num_rows, peer, size());
      return Piece{
          static_cast<size_t>(rows.begin * row_length) * sizeof(float),
          static_cast<size_t>(rows.size() * row_length) * sizeof(float)};
    };
    const Piece own = {0, rows_of(rank()).num_bytes};
    RETURN_IF_ERROR(Round(rows_of, [&](int) { return own; }));
    float* const output =
        data + RowsOf(num_rows, rank(), size()).begin * row_length;
    Sum(output, static_cast<int64_t>(own.num_bytes / sizeof(float)), output);
    return absl::OkStatus();
  }

  absl::Status RunAllGather(absl::Span<const GatheredArray> arrays,
                            int64_t num_rows) override {
    size_t row_bytes = 0;
    for (const GatheredArray& array : arrays) row_bytes += array.row_bytes;
    const auto piece_of = [&](int peer) {
      return Piece{0, row_bytes * static_cast<size_t>(
                                      RowsOf(num_rows, peer, size()).size())};
    };
    CopyRows(rank(), arrays, num_rows, send_.data(), /*pack=*/true);
    RETURN_IF_ERROR(Round([&](int) { return piece_of(rank()); }, piece_of));
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank())
        CopyRows(peer, arrays, num_rows, Received(peer), false);
    }
    return absl::OkStatus();
  }

  absl::Status RunBroadcast(absl::Span<std::byte> data, int root) override {
    const bool sends = rank() == root;
    if (sends) std::memcpy(send_.data(), data.data(), data.size());
    const Piece all = {0, data.size()};
    RETURN_IF_ERROR(Round(
        [&](int) { return sends ? all : Piece{}; },
        [&](int peer) { return !sends && peer == root ? all : Piece{}; }));
    if (!sends) std::memcpy(data.data(), Received(root), data.size());
    return absl::OkStatus();
  }

  absl::Status RunBarrier() override {
    const Piece byte = {0, 1};
    return Round([&](int) { return byte; }, [&](int) { return byte; });
  }

  void Interrupt() override {
    is_interrupted_ = true;
    receive_buffer_->abortWaitRecv();
    send_buffer_->abortWaitSend();
  }

  // Sends each peer its piece of `send_` and waits for the pieces it expects,
  // each at the beginning of the peer's part of `received_`. Pieces without
  // bytes are not sent.
  absl::Status Round(absl::FunctionRef<Piece(int)> to_send,
                     absl::FunctionRef<Piece(int)> to_receive) {
    const uint64_t slot = ++round_;
    bool is_complete = true;
    const absl::Status status = CatchGloo([&] {
      int num_sends = 0;
      int num_receives = 0;
      for (int peer = 0; peer < size(); ++peer) {
        const size_t num_bytes = to_receive(peer).num_bytes;
        if (peer == rank() || num_bytes == 0) continue;
        receive_buffer_->recv(peer, slot,
                              static_cast<size_t>(peer) * limits().max_bytes,
                              num_bytes);
        ++num_receives;
      }
      for (int peer = 0; peer < size(); ++peer) {
        const Piece piece = to_send(peer);
        if (peer == rank() || piece.num_bytes == 0) continue;
        send_buffer_->send(peer, slot, piece.offset, piece.num_bytes);
        ++num_sends;
      }
      for (; num_receives > 0 && is_complete; --num_receives) {
        is_complete = receive_buffer_->waitRecv(nullptr, timeout_);
      }
      for (; num_sends > 0 && is_complete; --num_sends) {
        is_complete = send_buffer_->waitSend(nullptr, timeout_);
      }
    });
    // An abort may come between two rounds, when nobody waits.
    if (status.ok() && is_complete && !is_interrupted_) return status;
    Close();
    if (is_interrupted_ || !is_complete) {
      return absl::AbortedError("interrupted");
    }
    return status;
  }

  // So that peers that wait for this rank hear of it. Only this rank's thread
  // talks to the context.
  void Close() {
    (void)CatchGloo([&] { context_->closeConnections(); });
  }

  std::byte* Received(int peer) {
    return received_.data() + static_cast<size_t>(peer) * limits().max_bytes;
  }

  void Sum(const float* own, int64_t count, float* output) {
    std::array<const float*, kMaxGlooRanks> terms;
    for (int peer = 0; peer < size(); ++peer) {
      terms[static_cast<size_t>(peer)] =
          peer == rank() ? own : reinterpret_cast<const float*>(Received(peer));
    }
    RankOrderSum(absl::MakeSpan(terms.data(), static_cast<size_t>(size())),
                 count, output);
  }

  // A rank's rows of all arrays, one array after the other.
  void CopyRows(int peer, absl::Span<const GatheredArray> arrays,
                int64_t num_rows, std::byte* packed, bool pack) const {
    const ShardRange rows = RowsOf(num_rows, peer, size());
    for (const GatheredArray& array : arrays) {
      std::byte* const own =
          array.data + static_cast<size_t>(rows.begin) * array.row_bytes;
      const size_t num_bytes =
          static_cast<size_t>(rows.size()) * array.row_bytes;
      std::memcpy(pack ? packed : own, pack ? own : packed, num_bytes);
      packed += num_bytes;
    }
  }

  const std::shared_ptr<::gloo::rendezvous::Context> context_;
  const std::chrono::milliseconds timeout_;
  std::vector<std::byte> send_;
  std::vector<std::byte> received_;  // [size, max_bytes]
  const std::unique_ptr<::gloo::transport::UnboundBuffer> send_buffer_;
  const std::unique_ptr<::gloo::transport::UnboundBuffer> receive_buffer_;
  uint64_t round_ = 0;
  std::atomic<bool> is_interrupted_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> CreateGlooCommunicator(
    int rank, int size, const CommunicatorLimits& limits,
    const std::string& bind_address, const BlobExchange& exchange) {
  if (size > kMaxGlooRanks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "gloo: expected at most ", kMaxGlooRanks, " ranks, got ", size));
  }
  // Gloo would say so as well, and lose memory.
  RETURN_IF_ERROR(CheckOwnAddress(bind_address));
  ExchangeStore store(exchange);
  std::shared_ptr<::gloo::rendezvous::Context> context;
  const absl::Status connected = CatchGloo([&] {
    ::gloo::transport::tcp::attr attributes;
    attributes.hostname = bind_address;
    std::shared_ptr<::gloo::transport::Device> device =
        ::gloo::transport::tcp::CreateDevice(attributes);
    context = std::make_shared<::gloo::rendezvous::Context>(rank, size);
    context->setTimeout(ConnectTimeout(limits));
    context->connectFullMesh(store, device);
  });
  RETURN_IF_ERROR(store.status());
  if (!connected.ok()) {
    return absl::UnavailableError(absl::StrCat("gloo, bound to ", bind_address,
                                               ": ", connected.message()));
  }
  return std::make_unique<GlooCommunicator>(rank, size, limits,
                                            std::move(context));
}

}  // namespace blockserve
