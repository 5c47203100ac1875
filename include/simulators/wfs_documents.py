"""What a WFS says of itself: capabilities, schemas and exceptions, in versions 1.1.0 and 2.0.0."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from simulators.layers import GML, SYSTEMS, Layer, offered

WFS = {"1.1.0": "http://www.opengis.net/wfs", "2.0.0": "http://www.opengis.net/wfs/2.0"}
OWS = {"1.1.0": "http://www.opengis.net/ows", "2.0.0": "http://www.opengis.net/ows/1.1"}
FILTER = {"1.1.0": "http://www.opengis.net/ogc", "2.0.0": "http://www.opengis.net/fes/2.0"}
GML_FORMATS = {"1.1.0": "text/xml; subtype=gml/3.1.1", "2.0.0": "application/gml+xml; version=3.2"}
JSON = "application/json"
BOUNDS = ("24.9 60.0", "26.6 60.7")
TYPES = {"string": "xs:string", "int": "xs:int", "date": "xs:date"}


def exception(version: str, code: str, locator: str, text: str) -> str:
    """An exception report."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ows:ExceptionReport xmlns:ows="{OWS[version]}" version="{version}">'
        f"<ows:Exception exceptionCode={quoteattr(code)} locator={quoteattr(locator)}>"
        f"<ows:ExceptionText>{escape(text)}</ows:ExceptionText></ows:Exception></ows:ExceptionReport>"
    )


def formats(version: str, layer: Layer) -> list[str]:
    """The formats in which a layer can be had; complex features have no JSON."""
    return [GML_FORMATS[version], *([JSON] if version == "2.0.0" and layer.kind == "geoserver" else [])]


def capabilities(version: str, address: str) -> str:
    """The capabilities document of the service at `address`."""
    namespaces = "".join(f' xmlns:{layer.prefix}="{layer.namespace}"' for layer in _one_of_each_prefix(version))
    every = sorted({one for layer in offered(version).values() for one in formats(version, layer)})
    operations = "".join(
        f'<ows:Operation name="{name}"><ows:DCP><ows:HTTP><ows:Get xlink:href={quoteattr(address + "?")}/></ows:HTTP></ows:DCP>'
        + _parameter("version", ["1.1.0", "2.0.0"], version)
        + (_parameter("outputFormat", every, version) if name == "GetFeature" else "")
        + (_parameter("resultType", ["results", "hits"], version) if name == "GetFeature" else "")
        + "</ows:Operation>"
        for name in ("GetCapabilities", "DescribeFeatureType", "GetFeature")
    )
    if version == "2.0.0":
        # GeoServer's own default; what a layer gives at most, it does not say.
        operations += _constraint("ImplementsResultPaging", "TRUE") + _constraint("ImplementsSorting", "TRUE")
        operations += _constraint("PagingIsTransactionSafe", "FALSE") + _constraint("CountDefault", "1000000")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<wfs:WFS_Capabilities version="{version}" xmlns:wfs="{WFS[version]}"'
        f' xmlns:ows="{OWS[version]}" xmlns:gml="{GML[version]}" xmlns:{"ogc" if version == "1.1.0" else "fes"}="{FILTER[version]}"'
        f' xmlns:xlink="http://www.w3.org/1999/xlink"{namespaces}>'
        "<ows:ServiceIdentification><ows:Title>Porvoon paikkatietopalvelu</ows:Title><ows:ServiceType>WFS</ows:ServiceType>"
        f"<ows:ServiceTypeVersion>{version}</ows:ServiceTypeVersion></ows:ServiceIdentification>"
        "<ows:ServiceProvider><ows:ProviderName>Synthetic town</ows:ProviderName></ows:ServiceProvider>"
        f"<ows:OperationsMetadata>{operations}</ows:OperationsMetadata>"
        f"<wfs:FeatureTypeList>{''.join(_type(version, layer) for layer in offered(version).values())}</wfs:FeatureTypeList>"
        f"{_filters(version)}</wfs:WFS_Capabilities>"
    )


def _one_of_each_prefix(version: str) -> list[Layer]:
    return list({layer.prefix: layer for layer in offered(version).values()}.values())


def _parameter(name: str, values: Sequence[str], version: str) -> str:
    texts = "".join(f"<ows:Value>{escape(value)}</ows:Value>" for value in values)
    if version == "2.0.0":
        texts = f"<ows:AllowedValues>{texts}</ows:AllowedValues>"
    return f'<ows:Parameter name="{name}">{texts}</ows:Parameter>'


def _constraint(name: str, value: str) -> str:
    return f'<ows:Constraint name="{name}"><ows:NoValues/><ows:DefaultValue>{value}</ows:DefaultValue></ows:Constraint>'


def _type(version: str, layer: Layer) -> str:
    word = "SRS" if version == "1.1.0" else "CRS"
    others = "".join(
        f"<wfs:Other{word}>urn:ogc:def:crs:EPSG::{srid}</wfs:Other{word}>" for srid in SYSTEMS if srid != layer.srid
    )
    given = "".join(f"<wfs:Format>{escape(one)}</wfs:Format>" for one in formats(version, layer))
    return (
        f"<wfs:FeatureType><wfs:Name>{layer.name}</wfs:Name><wfs:Title>{layer.title}</wfs:Title>"
        f"<wfs:Default{word}>urn:ogc:def:crs:EPSG::{layer.srid}</wfs:Default{word}>{others}"
        f"<wfs:OutputFormats>{given}</wfs:OutputFormats><ows:WGS84BoundingBox><ows:LowerCorner>{BOUNDS[0]}</ows:LowerCorner>"
        f"<ows:UpperCorner>{BOUNDS[1]}</ows:UpperCorner></ows:WGS84BoundingBox></wfs:FeatureType>"
    )


def _filters(version: str) -> str:
    if version == "1.1.0":
        return (
            "<ogc:Filter_Capabilities><ogc:Spatial_Capabilities><ogc:GeometryOperands><ogc:GeometryOperand>gml:Envelope"
            "</ogc:GeometryOperand></ogc:GeometryOperands><ogc:SpatialOperators><ogc:SpatialOperator name='BBOX'/>"
            "</ogc:SpatialOperators></ogc:Spatial_Capabilities><ogc:Scalar_Capabilities/><ogc:Id_Capabilities><ogc:FID/>"
            "</ogc:Id_Capabilities></ogc:Filter_Capabilities>"
        )
    stated = "".join(
        f'<fes:Constraint name="{name}"><ows:NoValues/><ows:DefaultValue>{value}</ows:DefaultValue></fes:Constraint>'
        for name, value in (
            ("ImplementsQuery", "TRUE"),
            ("ImplementsMinSpatialFilter", "TRUE"),
            ("ImplementsSorting", "TRUE"),
        )
    )
    return (
        f"<fes:Filter_Capabilities><fes:Conformance>{stated}</fes:Conformance><fes:Spatial_Capabilities>"
        '<fes:GeometryOperands><fes:GeometryOperand name="gml:Envelope"/></fes:GeometryOperands><fes:SpatialOperators>'
        '<fes:SpatialOperator name="BBOX"/></fes:SpatialOperators></fes:Spatial_Capabilities></fes:Filter_Capabilities>'
    )


def schema(version: str, layers: Sequence[Layer], address: str) -> str:
    """The XML Schema of layers; of several namespaces, one that imports the schema of each."""
    namespaces = {layer.namespace for layer in layers}
    if len(namespaces) > 1:
        imports = "".join(
            f"<xs:import namespace={quoteattr(space)} schemaLocation="
            + quoteattr(
                f"{address}?service=WFS&version={version}&request=DescribeFeatureType&typeName="
                + ",".join(layer.name for layer in layers if layer.namespace == space)
            )
            + "/>"
            for space in sorted(namespaces)
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
    first = layers[0]
    base = "gml:_Feature" if version == "1.1.0" else "gml:AbstractFeature"
    place = "3.1.1/base/gml.xsd" if version == "1.1.0" else "3.2.1/gml.xsd"
    if first.kind == "kuntagml":
        body = '<xs:include schemaLocation="http://www.paikkatietopalvelu.fi/gml/rakennusvalvonta/2.1.2/rakennusvalvonta.xsd"/>'
    else:
        body = (
            f'<xs:import namespace="{GML[version]}" schemaLocation="http://schemas.opengis.net/gml/{place}"/>'
            + "".join(
                f'<xs:complexType name="{layer.local}Type"><xs:complexContent><xs:extension base="gml:AbstractFeatureType"><xs:sequence>'
                + "".join(
                    f'<xs:element name="{field.name}" type="{TYPES[field.type]}" minOccurs="0" nillable="true"/>'
                    for field in layer.fields
                )
                + f'<xs:element name="{layer.geometry}" type="gml:PointPropertyType" minOccurs="0"/></xs:sequence></xs:extension>'
                f'</xs:complexContent></xs:complexType><xs:element name="{layer.local}" type="{layer.prefix}:{layer.local}Type"'
                f' substitutionGroup="{base}"/>'
                for layer in layers
            )
        )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:gml="{GML[version]}"'
        f' xmlns:{first.prefix}="{first.namespace}" targetNamespace="{first.namespace}" elementFormDefault="qualified">{body}</xs:schema>'
    )


def collection(version: str, layer: Layer, members: Sequence[str], *, matched: str, returned: int, at: str) -> str:
    """A feature collection of elements that are written already; `matched` may be unknown."""
    if version == "1.1.0":
        count, member = f' numberOfFeatures="{returned}"' if layer.kind != "trimble" else "", "gml:featureMember"
    else:
        count, member = f' numberMatched="{matched}" numberReturned="{returned}"', "wfs:member"
    body = "".join(f"<{member}>{one}</{member}>" for one in members)
    more = ' xmlns:yht="http://www.paikkatietopalvelu.fi/gml/yhteiset"' if layer.kind == "kuntagml" else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<wfs:FeatureCollection xmlns:wfs="{WFS[version]}" xmlns:gml="{GML[version]}"'
        f' xmlns:{layer.prefix}="{layer.namespace}"{more} timeStamp="{at}"{count}>{body}</wfs:FeatureCollection>'
    )
