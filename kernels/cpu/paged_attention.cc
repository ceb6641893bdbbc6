#include "kernels/cpu/paged_attention.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/kv_page.h"
#include "kernels/cpu/parallel_for.h"

namespace blockserve::cpu {
namespace {

// True if all `num_rows` rows see a common key: what they see together is then
// one range.
bool ShareKeys(const int32_t* key_begin, const int32_t* key_end,
               int64_t num_rows) {
  return *std::max_element(key_begin, key_begin + num_rows) <
         *std::min_element(key_end, key_end + num_rows);
}

// Cuts the rows of each sequence into tiles and computes those that begin in a
// given range of rows.
template <typename T>
class PagedAttentionJob {
 public:
  explicit PagedAttentionJob(const PagedAttentionArgs& args)
      : args_(args),
        layout_(args.cache.num_heads, args.cache.head_dim),
        num_rows_(args.qkv.dim(0)),
        num_sequences_(args.page_table.dim(0)),
        offsets_(args.query_offsets.as<int32_t>()),
        key_begin_(args.key_begin.as<int32_t>()),
        key_end_(args.key_end.as<int32_t>()) {
    CHECK_EQ(offsets_[0], 0);
    CHECK_EQ(offsets_[num_sequences_], num_rows_);
    CHECK_LE(args.cache.head_dim, kMaxHeadDim);
  }

  // One item per (head, row), rows of a head side by side: tiles of a long
  // prefill then find the head's keys in the second-level cache.
  int64_t num_items() const { return num_rows_ * args_.cache.num_heads; }

  void RunItem(int64_t item) const {
    const int64_t row = item % num_rows_;
    const int64_t sequence =
        std::upper_bound(offsets_, offsets_ + num_sequences_ + 1, row) -
        offsets_ - 1;
    if ((row - offsets_[sequence]) % kTileRows != 0) return;
    const int64_t num_rows =
        std::min<int64_t>(offsets_[sequence + 1] - row, kTileRows);
    if (num_rows == kTileRows &&
        ShareKeys(key_begin_ + row, key_end_ + row, num_rows)) {
      RunTile(sequence, row, item / num_rows_, kTileRows);
      return;
    }
    for (int64_t i = 0; i < num_rows; ++i) {
      RunTile(sequence, row + i, item / num_rows_, 1);
    }
  }

 private:
  void RunTile(int64_t sequence, int64_t row, int64_t head,
               int num_rows) const {
    const int64_t num_heads = args_.cache.num_heads;
    const int64_t head_dim = args_.cache.head_dim;
    const int64_t max_pages = args_.page_table.dim(1);
    T* output = args_.output.as<T>() + (row * num_heads + head) * head_dim;
    if (num_rows == 1) {
      if (key_begin_[row] >= key_end_[row]) {
        std::fill_n(output, head_dim, T());
        return;
      }
      CHECK(key_begin_[row] >= 0 && key_end_[row] <= max_pages * kPageLength)
          << "keys [" << key_begin_[row] << ", " << key_end_[row] << ")";
    }
    AttentionTile tile;
    tile.queries = args_.qkv.as<T>() + (row * num_heads + head) * 3 * head_dim;
    tile.query_stride = num_heads * 3 * head_dim;
    tile.outputs = output;
    tile.output_stride = num_heads * head_dim;
    tile.key_begin = key_begin_ + row;
    tile.key_end = key_end_ + row;
    tile.pages = args_.page_table.as<int32_t>() + sequence * max_pages;
    tile.head_pages =
        static_cast<const T*>(args_.cache.data) + layout_.HeadPage(0, head);
    tile.page_size = layout_.page_size();
    tile.head_dim = static_cast<int>(head_dim);
    tile.scale = args_.scale;
    AttendTile<T>(tile, num_rows);
  }

  const PagedAttentionArgs& args_;
  const KvPage<T> layout_;
  const int64_t num_rows_;
  const int64_t num_sequences_;
  const int32_t* const offsets_;
  const int32_t* const key_begin_;
  const int32_t* const key_end_;
};

}  // namespace

template <typename T>
void PagedAttention(const PagedAttentionArgs& args, int num_threads) {
  const PagedAttentionJob<T> job(args);
  // A guess of a few hundred keys: even one row is worth the threads.
  const int64_t work = int64_t{256} * args.cache.head_dim;
  ParallelForDynamic(num_threads, job.num_items(), work,
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t i = begin; i < end; ++i) job.RunItem(i);
                     });
}

template void PagedAttention<float>(const PagedAttentionArgs&, int);
template void PagedAttention<BFloat16>(const PagedAttentionArgs&, int);

}  // namespace blockserve::cpu
