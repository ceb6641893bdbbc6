#include "kernels/cpu/paged_attention.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/amx/attention.h"
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
  PagedAttentionJob(const PagedAttentionArgs& args, int num_threads)
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
    has_amx_ = kIsBf16 && amx::CanAttend(args.cache.head_dim);
    tile_rows_ = has_amx_ ? amx::kMaxAttentionRows : kTileRows;
    // Tiles of a long prefill find the head's keys in the second-level cache if
    // the rows of a head come one after the other. Rows that decode share no
    // keys; there the heads of a row, neighbours in memory, come one after the
    // other, in groups if there are fewer rows than would keep all threads
    // busy.
    constexpr int64_t kPrefillRows = 4;
    constexpr int64_t kItemsAThread = 4;
    is_prefill_ = num_rows_ >= kPrefillRows * num_sequences_;
    const int64_t num_heads = args.cache.num_heads;
    num_head_groups_ =
        is_prefill_ || num_rows_ == 0
            ? num_heads
            : std::clamp<int64_t>(kItemsAThread * num_threads / num_rows_, 1,
                                  num_heads);
  }

  int64_t num_items() const { return num_rows_ * num_head_groups_; }

  void RunItem(int64_t item) const {
    if (is_prefill_) {
      RunItem(item % num_rows_, {item / num_rows_, item / num_rows_ + 1});
    } else {
      const int64_t num_heads = args_.cache.num_heads;
      const int64_t group = item % num_head_groups_;
      RunItem(item / num_head_groups_,
              {num_heads * group / num_head_groups_,
               num_heads * (group + 1) / num_head_groups_});
    }
  }

 private:
  static constexpr bool kIsBf16 = std::is_same_v<T, BFloat16>;

  struct HeadRange {
    int64_t begin = 0;
    int64_t end = 0;
  };

  void RunItem(int64_t row, HeadRange heads) const {
    const int64_t sequence =
        std::upper_bound(offsets_, offsets_ + num_sequences_ + 1, row) -
        offsets_ - 1;
    if ((row - offsets_[sequence]) % tile_rows_ != 0) return;
    const int num_rows = static_cast<int>(
        std::min<int64_t>(offsets_[sequence + 1] - row, tile_rows_));
    if (has_amx_ && num_rows == 1) {
      RunHeads(sequence, row, heads);
      return;
    }
    const bool is_tile = (num_rows == tile_rows_ || has_amx_) &&
                         ShareKeys(key_begin_ + row, key_end_ + row, num_rows);
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      if (is_tile) {
        RunTile(sequence, row, head, num_rows);
      } else {
        for (int64_t i = 0; i < num_rows; ++i) {
          RunTile(sequence, row + i, head, 1);
        }
      }
    }
  }

  // By AMX kernels.
  void RunHeads(int64_t sequence, int64_t row, HeadRange heads) const {
    const AttentionTile tile = TileOf(sequence, row, heads.begin);
    const int num_heads = static_cast<int>(heads.end - heads.begin);
    if (SeesKeys(row)) {
      amx::AttendHeads(tile, num_heads);
    } else {
      std::fill_n(static_cast<T*>(tile.outputs), num_heads * tile.head_dim,
                  T());
    }
  }

  void RunTile(int64_t sequence, int64_t row, int64_t head,
               int num_rows) const {
    const AttentionTile tile = TileOf(sequence, row, head);
    if (num_rows == 1 && !SeesKeys(row)) {
      std::fill_n(static_cast<T*>(tile.outputs), tile.head_dim, T());
    } else if (has_amx_) {
      amx::AttendRows(tile, num_rows);
    } else {
      AttendTile<T>(tile, num_rows);
    }
  }

  bool SeesKeys(int64_t row) const {
    if (key_begin_[row] >= key_end_[row]) return false;
    CHECK(key_begin_[row] >= 0 &&
          key_end_[row] <= args_.page_table.dim(1) * kPageLength)
        << "keys [" << key_begin_[row] << ", " << key_end_[row] << ")";
    return true;
  }

  AttentionTile TileOf(int64_t sequence, int64_t row, int64_t head) const {
    const int64_t num_heads = args_.cache.num_heads;
    const int64_t head_dim = args_.cache.head_dim;
    AttentionTile tile;
    tile.queries = args_.qkv.as<T>() + (row * num_heads + head) * 3 * head_dim;
    tile.query_stride = num_heads * 3 * head_dim;
    tile.query_head_stride = 3 * head_dim;
    tile.outputs = args_.output.as<T>() + (row * num_heads + head) * head_dim;
    tile.output_stride = num_heads * head_dim;
    tile.key_begin = key_begin_ + row;
    tile.key_end = key_end_ + row;
    tile.pages =
        args_.page_table.as<int32_t>() + sequence * args_.page_table.dim(1);
    tile.head_pages =
        static_cast<const T*>(args_.cache.data) + layout_.HeadPage(0, head);
    tile.page_size = layout_.page_size();
    tile.head_dim = static_cast<int>(head_dim);
    tile.scale = args_.scale;
    return tile;
  }

  const PagedAttentionArgs& args_;
  const KvPage<T> layout_;
  const int64_t num_rows_;
  const int64_t num_sequences_;
  const int32_t* const offsets_;
  const int32_t* const key_begin_;
  const int32_t* const key_end_;
  bool has_amx_ = false;
  int tile_rows_ = kTileRows;
  bool is_prefill_ = false;
  int64_t num_head_groups_ = 0;
};

}  // namespace

template <typename T>
void PagedAttention(const PagedAttentionArgs& args, int num_threads) {
  const PagedAttentionJob<T> job(args, num_threads);
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
