"""Sleeps in small steps and looks between them whether the caller is still there, as a backend that cooperates does."""
import time

import numpy as np
import triton_python_backend_utils as pb_utils

STEP_SECONDS = 0.005


class TritonPythonModel:
    def execute(self, requests):
        return [self.wait(request) for request in requests]

    def wait(self, request):
        wanted = int(pb_utils.get_input_tensor_by_name(request, "MILLISECONDS").as_numpy().reshape(-1)[0])
        start = time.monotonic()
        while (waited := (time.monotonic() - start) * 1000) < wanted:
            if request.is_cancelled():
                return pb_utils.InferenceResponse(
                    error=pb_utils.TritonError("cancelled while waiting", pb_utils.TritonError.CANCELLED)
                )
            time.sleep(STEP_SECONDS)
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor("WAITED", np.array([[int(waited)]], np.int32))]
        )
