/** The bytes of base64url without padding (RFC 4648, section 5), in its one canonical spelling; else undefined. */
export function fromBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  // Node skips what it does not know: only a text that it would write itself is one.
  return bytes.length > 0 && bytes.toString('base64url') === text ? bytes : undefined
}
