import { credentials, type Scenario } from '../play.js'

/** One environment for another. */
export const environmentConfusion: Scenario = {
  name: 'environment-confusion',
  title: 'Environment confusion',
  attack: 'Asks in environments that are not its own, and for its own by other spellings.',
  play: async ({ ask, token, production, sandbox }, play) => {
    const own = production ?? sandbox
    if (own === undefined) return void play.skipped.push('The agent has no environment to ask in.')
    const agent = await token()
    const asked = (environment: string) => credentials(ask, agent, { environment, scopes: [own.read] })
    const { environment } = own
    const capital = environment.charAt(0).toUpperCase() + environment.slice(1)
    await play.works('its own environment', asked(environment))
    await play.refused('one that is others’', ['environment_unknown'], asked('development'))
    await play.refused('one that there is not', ['environment_unknown'], asked(`${environment}-2`))
    const spelled = ['environment_unknown', 'request_invalid']
    await play.refused(`its own in capitals (${capital})`, spelled, asked(capital))
    await play.refused('its own with a space behind', spelled, asked(`${environment} `))
    const sdk = (name: string) =>
      ask('GET', `/v1/aws/credentials/${encodeURIComponent(name)}/${encodeURIComponent(own.read)}`, agent)
    await play.refused('in capitals, as an SDK asks', spelled, sdk(capital))
    await play.refused(
      'a path out of it, as an SDK asks',
      [...spelled, 'not_found'],
      sdk(`../${environment}`),
    )
  },
}
