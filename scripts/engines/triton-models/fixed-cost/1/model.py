"""Sleeps once for the whole batch, then gives each request its own number back."""
import time

import triton_python_backend_utils as pb_utils

EXECUTION_SECONDS = 0.010


class TritonPythonModel:
    def execute(self, requests):
        time.sleep(EXECUTION_SECONDS)
        return [
            pb_utils.InferenceResponse(
                output_tensors=[
                    pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy())
                ]
            )
            for request in requests
        ]
