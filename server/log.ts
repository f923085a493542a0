import { type DestinationStream, type Logger, pino } from 'pino'

/**
 * JSON lines. Fields are allow-listed where they are written; this is the second net: whatever is called like
 * a secret is dropped, and an error is name, message and stack without its other properties.
 */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: [
        'authorization',
        'token',
        'secretAccessKey',
        'sessionToken',
        'password',
        'headers',
        'body',
      ].flatMap((name) => [name, `*.${name}`]),
      remove: true,
    },
    serializers: {
      err: (error: unknown) =>
        error instanceof Error ? { name: error.name, message: error.message, stack: error.stack } : {},
    },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}
