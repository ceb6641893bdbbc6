// Between the frames of group.proto and the structs of group_types.h.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_FRAME_CONVERSION_H_
#define BLOCKSERVE_PARALLEL_CONTROL_FRAME_CONVERSION_H_

#include "absl/status/status.h"
#include "blockserve/group/v1/group.pb.h"
#include "parallel/control/group_types.h"

namespace blockserve {

group::v1::Failure ToProto(const absl::Status& why);
// Never OK: a peer that names no error gets UNKNOWN.
absl::Status FromProto(const group::v1::Failure& failure);

group::v1::StepDone ToProto(const StepReport& report);
StepReport FromProto(const group::v1::StepDone& step);

group::v1::Formation ToProto(const Formation& formation);
// Without the epoch, which the frame has.
Formation FromProto(const group::v1::Formation& formation);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_FRAME_CONVERSION_H_
