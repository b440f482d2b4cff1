#include "data/coco_names.h"

#include <ios>

#include <nlohmann/json.hpp>

#include "data/open_text.h"
#include "tensor/check.h"

namespace dcl::data {

namespace {

using json = nlohmann::json;

// Reads {"images": [{"file_name": NAME, …}, …], …} and skips the rest. `depth_` counts the open brackets.
class NameReader final : public nlohmann::json_sax<json> {
 public:
  explicit NameReader(std::string source) : source_(std::move(source)) {}

  std::vector<std::string> names() && {
    check(found_, "{}: no \"images\", expected COCO's annotations", source_);
    return std::move(names_);
  }

  bool key(std::string& name) override {
    if (depth_ == 1) in_images_ = name == "images";
    wanted_ = in_images_ && depth_ == 3 && name == "file_name";
    check(!wanted_ || !named_, "{}: picture {} has two file_names", source_, names_.size() - 1);
    return true;
  }
  bool string(std::string& value) override {
    if (wanted_) {
      check(!value.empty() && value.find('\0') == std::string::npos, "{}: picture {} has no usable file_name",
            source_, names_.size());
      names_.push_back(value);
      named_ = true;
      wanted_ = false;
    }
    return other();
  }
  bool start_object(std::size_t /*count*/) override {
    if (in_images_ && depth_ == 2) named_ = false;
    return open(Kind::object);
  }
  bool end_object() override {
    --depth_;
    if (in_images_ && depth_ == 2) check(named_, "{}: picture {} has no file_name", source_, names_.size());
    return true;
  }
  bool start_array(std::size_t /*count*/) override {
    if (in_images_ && depth_ == 1) {
      check(!found_, "{}: has \"images\" twice", source_);
      found_ = true;
    }
    return open(Kind::array);
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool null() override { return other(); }
  bool boolean(bool /*value*/) override { return other(); }
  bool number_integer(number_integer_t /*value*/) override { return other(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return other(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return other(); }
  bool binary(binary_t& /*value*/) override { return other(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    fail("{}: not JSON, broken at byte {}", source_, position);
  }

 private:
  enum class Kind : std::uint8_t { scalar, array, object };

  // A value begins: "images" is an array, and all that is in it are objects.
  bool other(Kind kind = Kind::scalar) {
    check(!wanted_, "{}: picture {} has a file_name that is no string", source_, names_.size());
    if (!in_images_) return true;
    check(depth_ != 1 || kind == Kind::array, "{}: \"images\" is no array, expected COCO's annotations",
          source_);
    check(depth_ != 2 || kind == Kind::object, "{}: picture {} is no object with a file_name", source_,
          names_.size());
    return true;
  }
  bool open(Kind kind) {
    other(kind);
    ++depth_;
    return true;
  }

  std::string source_;
  std::vector<std::string> names_;
  int depth_ = 0;
  bool in_images_ = false;
  bool wanted_ = false;
  bool named_ = false;
  bool found_ = false;
};

}  // namespace

std::vector<std::string> parse_coco_names(std::istream& text, const std::string& source) {
  NameReader reader(source);
  try {
    json::sax_parse(text, &reader);
  } catch (const std::ios_base::failure&) {  // it reads the buffer, which throws, and not the stream
    fail("{}: cannot be read", source);
  }
  return std::move(reader).names();
}

std::vector<std::string> read_coco_names(const std::filesystem::path& annotations) {
  std::ifstream in = open_text(annotations, "COCO's annotations");
  return parse_coco_names(in, annotations.string());
}

}  // namespace dcl::data
