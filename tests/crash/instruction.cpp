#include "tests/crash/instruction.h"

#include <cstddef>

namespace tv::test {
namespace {

// Intel SDM, volume 2, appendix A: the one-byte opcodes and those behind 0f.

// Jumps, loads, comparisons, constants, and what pushes on the stack.
bool never_writes(std::uint8_t opcode) {
  switch (opcode) {
    case 0x02:
    case 0x03:
    case 0x0a:
    case 0x0b:
    case 0x22:
    case 0x23:
    case 0x2a:
    case 0x2b:
    case 0x32:
    case 0x33:  // reg op= r/m
    case 0x38:
    case 0x39:
    case 0x3a:
    case 0x3b:
    case 0x3c:
    case 0x3d:  // cmp
    case 0x84:
    case 0x85:
    case 0xa8:
    case 0xa9:  // test
    case 0x63:
    case 0x8a:
    case 0x8b:
    case 0x8d:
    case 0x90:  // movsxd, mov, lea, nop
    case 0xc3:
    case 0xe8:
    case 0xe9:
    case 0xeb:  // ret, call, jmp
      return true;
    default:
      return (opcode >= 0x50 && opcode <= 0x5f) || (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xb0 && opcode <= 0xbf);
  }
}

bool never_writes_behind_0f(std::uint8_t opcode) {
  // jcc, cmovcc, movzx, movsx, nop.
  return (opcode >= 0x80 && opcode <= 0x8f) || (opcode >= 0x40 && opcode <= 0x4f) || opcode == 0xb6 || opcode == 0xb7 || opcode == 0xbe ||
         opcode == 0xbf || opcode == 0x1f;
}

// Writes to its r/m operand, which may be a register.
bool writes_operand(std::uint8_t opcode) {
  switch (opcode) {
    case 0x00:
    case 0x01:
    case 0x08:
    case 0x09:
    case 0x20:
    case 0x21:
    case 0x28:
    case 0x29:
    case 0x30:
    case 0x31:  // r/m op= reg
    case 0x80:
    case 0x81:
    case 0x83:
    case 0x88:
    case 0x89:
    case 0xc0:
    case 0xc1:
    case 0xc6:
    case 0xc7:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xf6:
    case 0xf7:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_system_call(std::uint64_t bytes) { return static_cast<std::uint16_t>(bytes) == 0x050f; }

bool may_write(std::uint64_t bytes) {
  auto byte = [bytes](std::size_t i) { return static_cast<std::uint8_t>(bytes >> (8 * i)); };
  std::size_t at = byte(0) == 0x66 ? 1 : 0;
  std::uint8_t rex = (byte(at) & 0xf0) == 0x40 ? byte(at++) : 0;
  std::uint8_t opcode = byte(at);
  if (opcode == 0x0f) return !never_writes_behind_0f(byte(at + 1));
  if (never_writes(opcode)) return false;
  if (!writes_operand(opcode)) return true;
  std::uint8_t modrm = byte(at + 1);
  if (modrm >= 0xc0) return false;  // a register
  // [rsp + displacement]: the stack.
  return !((modrm & 7) == 4 && byte(at + 2) == 0x24 && (rex & 1) == 0);
}

unsigned repeated_store_bytes(std::uint64_t bytes) {
  auto byte = [bytes](std::size_t i) { return static_cast<std::uint8_t>(bytes >> (8 * i)); };
  if (byte(0) != 0xf3) return 0;
  unsigned at = (byte(1) & 0xf0) == 0x40 ? 2 : 1;
  std::uint8_t opcode = byte(at);
  return opcode == 0xa4 || opcode == 0xa5 || opcode == 0xaa || opcode == 0xab ? at + 1 : 0;
}

}  // namespace tv::test
