import t from 'tap'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { bodyOf, keys, publish, readFiles, refusalOf } from './support.js'

const AT = '2026-03-01T10:00:00.000000Z'

t.test('tiles of three levels are each compared', async (t) => {
  const size = 65_536 + 300
  const entries = Array.from({ length: size }, (_, i) => bodyOf(i, { at: AT }))
  const files = await publish(entries, [40_000, 65_535, size])
  const verify = () => verifyTiles(readFiles(files), keys, { checkpoints: [40_000, 65_535] })
  t.match(await verify(), { size, checkpoints: 3 })
  for (const [path, at, index] of [
    ['tile/1/000', 8_191, 255 * 256],
    ['tile/1/001.p/1', 0, 65_536],
    ['tile/2/000.p/1', 5, 0],
  ] as const) {
    const data = files.get(path)
    if (data === undefined) throw new Error(`no ${path}`)
    data[at] = (data[at] ?? 0) ^ 1
    t.match(await refusalOf(verify), { code: 'tile_mismatch', index, path })
    data[at] = (data[at] ?? 0) ^ 1
  }
})
