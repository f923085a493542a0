import type { Scenario } from '../play.js'
import { payloadOf, signedByStranger, tampered, unsigned } from '../tokens.js'

const HOUR = 3600

/** A token in the wrong hands, and what can be made of it. */
export const stolenToken: Scenario = {
  name: 'stolen-token',
  title: 'Stolen token',
  attack: 'Uses a token of the agent after its life, elsewhere, or altered.',
  play: async ({ ask, token, changed }, play) => {
    const honest = await token()
    const whoami = (bearer: string) => ask('GET', '/v1/whoami', bearer)
    await play.works('the honest token opens what it has to', whoami(honest))
    const { sub, exp } = payloadOf(honest)
    const later = { exp: Number(exp) + HOUR }
    await play.refused(
      'claims altered: another subject',
      ['token_signature'],
      whoami(tampered(honest, { sub: `${sub}x` })),
    )
    await play.refused('claims altered: a longer life', ['token_signature'], whoami(tampered(honest, later)))
    await play.refused(
      'no signature, and alg none',
      ['token_algorithm', 'token_malformed'],
      whoami(unsigned(honest)),
    )
    await play.refused(
      'signed by a stranger under the name of a trusted key',
      ['token_signature', 'token_algorithm'],
      whoami(signedByStranger(honest)),
    )
    await play.refused(
      'signed by an issuer of the thief’s own',
      ['token_issuer_unknown'],
      whoami(signedByStranger(honest, { iss: 'https://drill.writ.invalid' })),
    )
    if (changed === undefined) {
      play.skipped.push(
        'A token after its life, and one for another audience: only an issuer makes those, and this one is not the local one. Keep an old token, and send it by hand.',
      )
      return
    }
    await play.refused('used after its life', ['token_expired'], whoami(await changed({ age: HOUR })))
    const audience = 'https://somebody-else.example'
    await play.refused('made for another audience', ['token_audience'], whoami(await changed({ audience })))
  },
}
