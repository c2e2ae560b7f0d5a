// Lanes in an image by ONNX Runtime.
//
//     lgad-export best.ckpt --with preprocessing,decoding --out lanes.onnx
//     lanes lanes.onnx frame.ppm
//
// Prints a line for each lane: its slot's number from 1, its existence, then x and y of its points in pixels.
// The image is a binary PPM (P6) of the size that the file was exported for.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Frame {
    int64_t height, width;
    std::vector<uint8_t> pixels;  // blue-green-red
};

Frame read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string kind;
    int largest = 0;
    Frame frame{};
    file >> kind >> frame.width >> frame.height >> largest;
    file.get();
    if (!file || kind != "P6" || largest != 255) throw std::runtime_error(path + " is no binary PPM with 8 bits");
    frame.pixels.resize(frame.height * frame.width * 3);
    file.read(reinterpret_cast<char*>(frame.pixels.data()), frame.pixels.size());
    if (!file) throw std::runtime_error(path + " is cut off");
    for (size_t i = 0; i < frame.pixels.size(); i += 3) std::swap(frame.pixels[i], frame.pixels[i + 2]);
    return frame;
}

// The rows of the frame in which lanes are looked for: a JSON list of numbers in the file's metadata.
std::vector<double> read_rows(const Ort::Session& session) {
    Ort::AllocatorWithDefaultOptions allocator;
    auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated("rows", allocator);
    if (!text) throw std::runtime_error("the file was not written by lgad-export");
    std::string list(text.get());
    for (char& c : list)
        if (c == '[' || c == ']' || c == ',') c = ' ';
    std::istringstream numbers(list);
    std::vector<double> rows;
    for (double row; numbers >> row;) rows.push_back(row);
    return rows;
}

int main(int argc, char** argv) try {
    if (argc != 3) throw std::runtime_error("usage: lanes lanes.onnx frame.ppm");
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "lanes");
    const std::string path = argv[1];
    const std::basic_string<ORTCHAR_T> model(path.begin(), path.end());  // wide on Windows
    Ort::Session session(env, model.c_str(), Ort::SessionOptions{nullptr});
    const std::vector<double> rows = read_rows(session);
    Frame frame = read_ppm(argv[2]);

    const int64_t shape[] = {frame.height, frame.width, 3};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    Ort::Value input = Ort::Value::CreateTensor<uint8_t>(memory, frame.pixels.data(), frame.pixels.size(), shape, 3);
    const char* inputs[] = {"frame"};
    const char* outputs[] = {"column", "valid", "existence"};
    auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 3);

    const float* column = found[0].GetTensorData<float>();
    const bool* valid = found[1].GetTensorData<bool>();
    const float* existence = found[2].GetTensorData<float>();
    const size_t slots = found[2].GetTensorTypeAndShapeInfo().GetElementCount();
    for (size_t slot = 0; slot < slots; ++slot) {
        const bool* there = valid + slot * rows.size();
        if (std::none_of(there, there + rows.size(), [](bool is) { return is; })) continue;
        std::cout << slot + 1 << ' ' << existence[slot];
        for (size_t row = 0; row < rows.size(); ++row)
            if (there[row]) std::cout << ' ' << column[slot * rows.size() + row] << ' ' << rows[row];
        std::cout << '\n';
    }
    return EXIT_SUCCESS;
} catch (const std::exception& error) {
    std::cerr << "lanes: " << error.what() << '\n';
    return EXIT_FAILURE;
}
