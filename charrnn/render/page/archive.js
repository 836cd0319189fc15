"use strict";
// Unpacks the model that the page carries.
//
// It is base64 of zlib of: the size of a header (uint32), the header in JSON, and arrays. Of an array
// come first the lowest bytes of all numbers, then the next ones: that packs better. Numbers of 16
// bits with a point become 32 bits here.

const TYPES = {
  f2: Uint16Array, f4: Float32Array, i2: Int16Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array,
};

/** The header, and the arrays by their names. */
async function unpack(base64) {
  const packed = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let place = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, place)));
  const arrays = {};
  for (const [name, type, length] of header.arrays) {
    const size = TYPES[type].BYTES_PER_ELEMENT;
    const own = gathered(bytes.subarray(place, place + size * length), size);
    const numbers = new TYPES[type](own.buffer);
    arrays[name] = type === "f2" ? Float32Array.from(numbers, fromHalf) : numbers;
    place += size * length;
  }
  return { header, arrays };
}

/** Bytes of numbers side by side, from all lowest bytes, then all next ones. */
function gathered(bytes, size) {
  const length = bytes.length / size;
  const out = new Uint8Array(bytes.length);
  for (let part = 0, from = 0; part < size; part++) {
    for (let i = 0; i < length; i++) out[i * size + part] = bytes[from++];
  }
  return out;
}

/** The number that 16 bits stand for (IEEE 754 binary16). */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
