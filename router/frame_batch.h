// Frames of a worker that have been read and not yet been passed on.
#ifndef BLOCKSERVE_ROUTER_FRAME_BATCH_H_
#define BLOCKSERVE_ROUTER_FRAME_BATCH_H_

#include <array>
#include <vector>

#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

// A router that falls behind passes on in one go what several frames bring for
// a request: what costs is the message to the client, not the block in it. Not
// thread-safe. Keeps the memory of its messages.
class FrameBatch {
 public:
  // More are not read: the worker then joins what its steps make, and waits
  // for nobody.
  static constexpr int kMaxFrames = 8;

  bool empty() const { return num_frames_ == 0; }
  bool is_full() const { return num_frames_ == kMaxFrames; }

  // Takes the content of `frame`, which is empty then. Not if full.
  void Push(worker::v1::ExecuteResponse& frame);
  void Swap(FrameBatch& other);
  void Clear();

  struct Events {
    // One of a request: its tokens, and its end.
    std::vector<const worker::v1::RequestEvent*> firsts;
    // What could not be joined to those and comes after them, in order: ends
    // with an error, since such an end voids what comes with it.
    std::vector<const worker::v1::RequestEvent*> rest;
  };

  // The events of all frames, joined. Once per batch; valid until it changes.
  Events JoinEvents();

 private:
  std::array<worker::v1::ExecuteResponse, kMaxFrames> frames_;
  int num_frames_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_FRAME_BATCH_H_
