// The elements of a tensor as JSON: nested lists in the tensor's shape.
//
// Floats are printed as short as their own type allows (0.1 of float32 is 0.1); quantised elements as the numbers that they stand for;
// complex ones as [real, imaginary].
#pragma once

#include "tools/tensorctl/json_text.h"
#include "shm/files/tensor_bytes.h"

namespace tv::ctl {

// Null for types that pack several elements into a byte.
Json tensor_values(const files::TensorView& tensor);

}  // namespace tv::ctl
