// An OpenID provider on loopback: issuer.mjs CALLBACK; prints its address. Everybody who logs in is who they say.
import http from "node:http";
import { Provider } from "oidc-provider";

const callback = process.argv[2];
const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "store", client_secret: "only-for-tests", redirect_uris: [callback] }],
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], profile: ["name", "groups"] },
    cookies: { keys: ["only-for-tests"] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `Example ${id}`, groups: id === "officer" ? ["urn:example:officers"] : [] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
