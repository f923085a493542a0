/** Values of a statement: they only ever travel as parameters. */
export class Parameters {
  readonly values: unknown[] = []

  readonly add = (value: unknown): string => {
    this.values.push(value)
    return `$${this.values.length}`
  }
}
