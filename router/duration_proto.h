// absl::Duration to and from google.protobuf.Duration.
#ifndef BLOCKSERVE_ROUTER_DURATION_PROTO_H_
#define BLOCKSERVE_ROUTER_DURATION_PROTO_H_

#include <google/protobuf/duration.pb.h>

#include <cstdint>

#include "absl/time/time.h"

namespace blockserve {

// `duration` must be finite.
inline void SetDuration(absl::Duration duration,
                        google::protobuf::Duration& proto) {
  absl::Duration rest;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

inline absl::Duration FromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_DURATION_PROTO_H_
