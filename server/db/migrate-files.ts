import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StartError } from '../errors.js'

export interface Migration {
  /** From 1, without gaps. */
  readonly number: number
  /** The file's name. */
  readonly name: string
  readonly sql: string
  /** Over the text with LF line ends, so that a checkout on Windows is no edit. */
  readonly sha256: string
}

const FILE_NAME = /^(?!000)(\d{3})-[a-z0-9]+(?:-[a-z0-9]+)*\.sql$/

/** A file that ends its own transaction would be recorded without being whole. */
const TRANSACTION_CONTROL =
  /^\s*(?:begin(?:\s+(?:work|transaction)\b[^;]*)?|start\s+transaction\b[^;]*|commit|rollback|abort)\s*;/im

/** The migrations of a folder in order. Throws StartError on a wrong name, a repeated number, a gap. */
export function readMigrations(directory: string): Migration[] {
  let names: string[]
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.sql'))
  } catch (error) {
    throw new StartError(
      `The folder of migrations ${directory} cannot be read: ${(error as NodeJS.ErrnoException).code}.`,
    )
  }
  return names.sort().map((name, index) => {
    const digits = FILE_NAME.exec(name)?.[1]
    if (digits === undefined) {
      throw new StartError(`Migration ${name} is not named like 001-what-it-does.sql.`)
    }
    const number = Number(digits)
    if (number <= index) throw new StartError(`Two migrations have the number ${digits}; one is ${name}.`)
    if (number > index + 1) {
      throw new StartError(`Migration ${String(index + 1).padStart(3, '0')} is missing before ${name}.`)
    }
    const sql = readFileSync(join(directory, name), 'utf8').replaceAll('\r\n', '\n')
    if (TRANSACTION_CONTROL.test(sql)) {
      throw new StartError(`Migration ${name} begins or ends a transaction: each file already is one.`)
    }
    return { number, name, sql, sha256: createHash('sha256').update(sql).digest('hex') }
  })
}
