"""Models as graphs on disk: ONNX, OpenVINO and torch programs, in float32 or int8."""
