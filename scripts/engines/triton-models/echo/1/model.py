"""IN_<datatype> comes back as OUT_<datatype>; what was not sent is not answered."""
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                output_tensors=[
                    pb_utils.Tensor(tensor.name().replace("IN_", "OUT_", 1), tensor.as_numpy())
                    for tensor in request.inputs()
                ]
            )
            for request in requests
        ]
