"""Triton's side of the embedding model: takes the requests that the batcher has put together, answers each its part."""
import os

import numpy as np
import triton_python_backend_utils as pb_utils
from bert import SentenceEncoder


class TritonPythonModel:
    def initialize(self, args):
        self.encoder = SentenceEncoder(os.environ["MINILM_WEIGHTS"])

    def execute(self, requests):
        texts = [
            [item.decode("utf-8", "replace") for item in tensor.as_numpy().reshape(-1)]
            for tensor in (pb_utils.get_input_tensor_by_name(request, "TEXT") for request in requests)
        ]
        vectors, counts = self.encoder.encode([text for part in texts for text in part])
        responses, start = [], 0
        for part in texts:
            end = start + len(part)
            responses.append(
                pb_utils.InferenceResponse(
                    output_tensors=[
                        pb_utils.Tensor("EMBEDDING", vectors[start:end]),
                        pb_utils.Tensor("TOKENS", np.asarray(counts[start:end], np.int32).reshape(-1, 1)),
                    ]
                )
            )
            start = end
        return responses
