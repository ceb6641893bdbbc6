// Keeps gRPC's callback threads for the life of the process.
#ifndef BLOCKSERVE_ROUTER_CALLBACK_THREADS_H_
#define BLOCKSERVE_ROUTER_CALLBACK_THREADS_H_

namespace blockserve {

// gRPC 1.51 runs client callbacks on threads that it joins when the last
// channel of the process goes. A channel that goes in a callback, as that of a
// broken connection does, would have such a thread join itself. This makes one
// channel, which leads nowhere, and never gives it back. Call before the first
// callback call; not on a gRPC thread. Thread-safe.
void KeepCallbackThreads();

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_CALLBACK_THREADS_H_
