import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.List;
import net.handle.hdllib.GsonUtility;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Util;
import net.handle.hdllib.ValueReference;
import net.handle.hdllib.trust.HandleClaimsSet;
import net.handle.hdllib.trust.HandleSigner;
import net.handle.hdllib.trust.HandleVerifier;
import net.handle.hdllib.trust.JsonWebSignature;
import net.handle.hdllib.trust.JsonWebSignatureFactory;
import net.handle.hdllib.trust.Permission;
import net.handle.hdllib.trust.SignatureVerificationReport;
import net.handle.hdllib.trust.ValuesSignatureVerificationReport;

/** Asks CNRI's own library about answers that rawtrace wrote, and lets it write some for rawtrace. */
public final class HandleCheck {
    private static final Gson GSON = GsonUtility.getGson();

    public static void main(String[] arguments) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        switch (arguments[0]) {
            case "rewrite" -> rewrite(arguments[1]);
            case "signature" -> signature(arguments[1], arguments[2]);
            case "certificate" -> certificate(arguments[1], arguments[2], List.of(arguments).subList(3, arguments.length));
            case "hash" -> hash(arguments[1]);
            case "sign" -> sign(arguments[1]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static JsonObject read(String file) throws Exception {
        return JsonParser.parseString(Files.readString(Path.of(file))).getAsJsonObject();
    }

    private static List<HandleValue> values(JsonObject answer) {
        List<HandleValue> found = new ArrayList<>();
        for (JsonElement value : answer.getAsJsonArray("values")) found.add(GSON.fromJson(value, HandleValue.class));
        return found;
    }

    private static PublicKey key(String file) throws Exception {
        for (HandleValue value : values(read(file)))
            if (value.getTypeAsString().equals("HS_PUBKEY")) return Util.getPublicKeyFromBytes(value.getData(), 0);
        throw new IllegalArgumentException("no HS_PUBKEY in " + file);
    }

    /** Reads the values into CNRI's classes and writes them again. */
    private static void rewrite(String file) throws Exception {
        System.out.print(GSON.toJson(values(read(file))));
    }

    private static void signature(String file, String keyFile) throws Exception {
        JsonObject answer = read(file);
        List<HandleValue> all = values(answer);
        String jws = null;
        for (HandleValue value : all) if (value.getTypeAsString().equals("HS_SIGNATURE")) jws = value.getDataAsString();
        JsonWebSignature signature = JsonWebSignatureFactory.getInstance().deserialize(jws);
        ValuesSignatureVerificationReport report = HandleVerifier.getInstance()
            .verifyValues(answer.get("handle").getAsString(), all, signature, key(keyFile));
        JsonObject said = said(report);
        said.addProperty("correctHandle", report.correctHandle);
        said.add("verifiedValues", GSON.toJsonTree(report.verifiedValues));
        said.add("missingValues", GSON.toJsonTree(report.missingValues));
        said.add("badDigestValues", GSON.toJsonTree(report.badDigestValues));
        System.out.print(said);
    }

    private static void certificate(String jwsFile, String keyFile, List<String> handles) throws Exception {
        JsonWebSignature jws = JsonWebSignatureFactory.getInstance().deserialize(Files.readString(Path.of(jwsFile)).trim());
        SignatureVerificationReport report = new SignatureVerificationReport();
        HandleVerifier verifier = HandleVerifier.getInstance();
        verifier.verifyHandleClaimsSetAndSetReportProperties(report, jws, key(keyFile));
        HandleClaimsSet claims = verifier.getHandleClaimsSet(jws);
        JsonObject said = said(report);
        for (String handle : handles)
            said.addProperty(handle, verifier.verifyPermissionsAreAuthorizedOverHandle(handle, claims.perms));
        System.out.print(said);
    }

    private static JsonObject said(SignatureVerificationReport report) {
        JsonObject said = new JsonObject();
        said.addProperty("validPayload", report.validPayload);
        said.addProperty("signatureVerifies", report.signatureVerifies);
        said.addProperty("dateInRange", report.dateInRange);
        return said;
    }

    private static void hash(String file) throws Exception {
        for (String handle : Files.readAllLines(Path.of(file))) {
            byte[] bytes = Util.encodeString(handle);
            for (int option = 0; option < 3; option++) System.out.print(SiteInfo.getHandleHash(bytes, option) + " ");
            System.out.println();
        }
    }

    /** Signs the values of a record and a key with a fresh RSA key, as its own tools do. */
    private static void sign(String file) throws Exception {
        JsonObject answer = read(file);
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        KeyPair pair = generator.generateKeyPair();
        long now = System.currentTimeMillis() / 1000;
        ValueReference issuer = new ValueReference(Util.encodeString("0.NA/20.500.12345"), 300);
        String handle = answer.get("handle").getAsString();
        HandleSigner signer = HandleSigner.getInstance();
        JsonObject said = new JsonObject();
        said.addProperty("signature", signer.signHandleValues(handle, values(answer), issuer, pair.getPrivate(), null,
            now - 60, now + 3600).serialize());
        said.addProperty("certificate", signer.signPermissions(issuer, pair.getPublic(),
            List.of(new Permission("0.NA/20.500.12345", "handlesUnderThisPrefix")), issuer, pair.getPrivate(), null,
            now - 60, now + 3600).serialize());
        HandleValue key = new HandleValue(300, Util.encodeString("HS_PUBKEY"), Util.getBytesFromPublicKey(pair.getPublic()));
        key.setTimestamp(0);
        said.add("key", GSON.toJsonTree(key));
        System.out.print(said);
    }
}
