/** The encodings of SSH (RFC 4251, section 5), read strictly: what has two spellings could be signed once and stored twice. */
export interface WireReader {
  /** `undefined` once anything was not as it must be; then everything after it is too. */
  readonly bytes: (count: number) => Buffer | undefined
  readonly byte: () => number | undefined
  readonly uint32: () => number | undefined
  /** A length and that many bytes. */
  readonly string: () => Buffer | undefined
  /** A string of printable ASCII. */
  readonly text: () => string | undefined
  /** A positive number without needless leading bytes, at most 32 bytes long; left-padded to 32. */
  readonly scalar: () => Buffer | undefined
  /** Whether all was read, and nothing was wrong. */
  readonly ended: () => boolean
}

export function wireReader(data: Buffer): WireReader {
  let at = 0
  let broken = false
  const fail = (): undefined => {
    broken = true
    return undefined
  }
  const bytes = (count: number): Buffer | undefined => {
    // Compared with what is left, never added up: a length near 2^32 must not wrap past the end.
    if (broken || count > data.length - at) return fail()
    at += count
    return data.subarray(at - count, at)
  }
  const uint32 = (): number | undefined => bytes(4)?.readUInt32BE(0)
  const string = (): Buffer | undefined => {
    const length = uint32()
    return length === undefined ? undefined : bytes(length)
  }
  return {
    bytes,
    byte: () => bytes(1)?.[0],
    uint32,
    string,
    text: () => {
      const text = string()?.toString('latin1')
      return text === undefined || /^[\x20-\x7e]*$/.test(text) ? text : fail()
    },
    scalar: () => {
      const number = string()
      if (number === undefined) return undefined
      const [first = 0x80, second = 0] = number
      if (first >= 0x80 || (first === 0 && second < 0x80)) return fail()
      const digits = first === 0 ? number.subarray(1) : number
      return digits.length > 32 ? fail() : Buffer.concat([Buffer.alloc(32 - digits.length), digits])
    },
    ended: () => !broken && at === data.length,
  }
}

/** A string as SSH writes it. */
export function wireString(data: string | Uint8Array): Buffer {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Base64 in its one canonical form with padding (RFC 4648, section 4); undefined for any other. */
export function strictBase64(text: string, mostCharacters: number): Buffer | undefined {
  if (text.length > mostCharacters) return undefined
  const data = Buffer.from(text, 'base64')
  return data.toString('base64') === text ? data : undefined
}
