/** Reads RFC 4180 and nothing more lenient: CRLF ends each record, quotes stand around a whole field or nowhere. */
export function parseCsv(text: string): readonly (readonly string[])[] {
  const records: string[][] = []
  let at = 0
  while (at < text.length) {
    const record: string[] = []
    for (;;) {
      const [value, end] = text[at] === '"' ? quoted(text, at) : bare(text, at)
      record.push(value)
      at = end
      if (text[at] === ',') at++
      else break
    }
    if (text.slice(at, at + 2) !== '\r\n') throw new Error(`no end of record at ${at}`)
    at += 2
    records.push(record)
  }
  return records
}

function quoted(text: string, start: number): readonly [string, number] {
  let value = ''
  for (let at = start + 1; ; at++) {
    if (at >= text.length) throw new Error(`no closing quote after ${start}`)
    if (text[at] !== '"') value += text[at]
    else if (text[at + 1] === '"') {
      value += '"'
      at++
    } else return [value, at + 1]
  }
}

function bare(text: string, start: number): readonly [string, number] {
  let at = start
  while (at < text.length && !',"\r\n'.includes(text[at] ?? '')) at++
  if (text[at] === '"') throw new Error(`a quote inside a bare field at ${at}`)
  return [text.slice(start, at), at]
}
